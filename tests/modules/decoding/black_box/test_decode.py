"""Proxy-tuning of a model served by a local endpoint, against one with all its logits."""

import pytest
import torch

from modules.decoding.answers import answer_all, answered
from modules.decoding.black_box.decode import BlackBox, ProxySampling
from modules.decoding.black_box.offsets import LocalOffsets
from modules.decoding.black_box.token_strings import TokenStrings
from modules.decoding.black_box.top_logprobs import (
    ChatTopLogprobs,
    TextTopLogprobs,
    local_candidates,
)
from modules.endpoint.client import Endpoint, EndpointError
from modules.endpoint.next_tokens import Candidate, NextTokens
from tests.fixtures.endpoint import byte_tokenizer, serving, tiny_model

PROMPT = "the cat sat"


@pytest.fixture(scope="module")
def parts():
    """Tokenizer, its token strings, base, expert, anti-expert."""
    tokenizer = byte_tokenizer()
    models = [
        tiny_model(kind, len(tokenizer), seed, scale)
        for kind, seed, scale in (("gpt2", 0, 20.0), ("llama", 1, 8.0), ("llama", 2, 8.0))
    ]
    return tokenizer, TokenStrings(tokenizer), *models


@pytest.fixture
def box(parts):
    """Makes a black box of a served base."""
    tokenizer, token_strings, _, expert, antiexpert = parts

    def make(served, num=5, as_ids=True, alpha=1.0, top_logprobs=None, **sampling):
        base = top_logprobs or TextTopLogprobs(
            Endpoint(served.url, "tiny"), num, tokenizer if as_ids else None
        )
        offsets = LocalOffsets(expert, antiexpert, tokenizer, alpha)
        return BlackBox(
            base, offsets, token_strings, ProxySampling(**{"max_new_tokens": 8} | sampling)
        )

    return make


def whole(parts, ids, alpha=1.0, base_ids=None):
    """The exact next-token distribution, from all logits of all models, in float64."""
    with torch.no_grad():
        base, expert, antiexpert = (
            model(torch.tensor([own]), use_cache=False).logits[0, -1].double()
            for model, own in zip(parts[2:], (base_ids or ids, ids, ids), strict=True)
        )
    return (base + alpha * (expert - antiexpert)).softmax(0)


def test_with_all_tokens_it_writes_what_plain_proxy_tuning_writes(parts, box):
    tokenizer = parts[0]
    with serving(model=parts[2], tokenizer=tokenizer, as_ids=True) as served:
        written = box(served, num=len(tokenizer)).write(PROMPT)
    ids = tokenizer.encode(PROMPT)
    for token in written.tokens:
        q_V = whole(parts, ids)
        assert token.id == int(q_V.argmax())
        assert token.p == pytest.approx(float(q_V.max()), rel=1e-4)
        assert token.low == token.high == 0.0
        ids.append(token.id)
    assert written.is_certain
    assert written.ended == "length"
    assert len(written.tokens) == 8


@pytest.mark.parametrize("alpha", [0.1, 1.0])
@pytest.mark.parametrize("as_ids", [True, False])
def test_with_a_few_tokens_the_truth_is_within_the_bounds(parts, box, alpha, as_ids):
    tokenizer = parts[0]
    with serving(model=parts[2], tokenizer=tokenizer, as_ids=as_ids) as served:
        written = box(served, num=12, alpha=alpha, temperature=1.0).write(PROMPT)
    ids = tokenizer.encode(PROMPT)
    for token in written.tokens:
        base_ids = ids if as_ids else tokenizer.encode(tokenizer.decode(ids))
        q_V = whole(parts, ids, alpha, base_ids)
        distance = 1 - float(q_V[token.id]) / token.p
        assert token.low - 1e-5 <= distance <= token.high + 1e-5
        ids.append(token.id)
    assert 0 < max(token.high for token in written.tokens)


def test_a_certain_token_is_that_of_the_whole_distribution(parts, box):
    tokenizer, num_certain = parts[0], 0
    with serving(model=parts[2], tokenizer=tokenizer, as_ids=True) as served:
        for prompt in (PROMPT, "a question", "Der"):
            ids = tokenizer.encode(prompt)
            for token in box(served, num=30, alpha=0.3).write(prompt).tokens:
                num_certain += token.certain
                if token.certain:
                    assert token.id == int(whole(parts, ids, 0.3).argmax())
                ids.append(token.id)
    assert num_certain > 0


def test_without_alpha_it_writes_the_base_s_own_greedy_text(parts, box):
    tokenizer = parts[0]
    with serving(model=parts[2], tokenizer=tokenizer, as_ids=True) as served:
        written = box(served, num=3, alpha=0.0).write(PROMPT)
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    wanted = parts[2].generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0
    )[0, ids.shape[1] :]
    assert [token.id for token in written.tokens] == wanted.tolist()
    assert written.is_certain


# Texts


def test_a_base_that_reads_text_is_only_given_whole_characters(parts, box):
    tokenizer, token_strings = parts[:2]
    with serving(model=parts[2], tokenizer=tokenizer) as served:
        written = box(served, num=40, as_ids=False).write(PROMPT)
    prompts = [fields["prompt"] for _, _, fields in served.requests]
    texts = [
        token_strings.text(token.id for token in written.tokens[:n]) for n in range(len(prompts))
    ]
    assert prompts == [PROMPT + text for text in texts]
    assert "\ufffd" not in written.text
    assert max(token.unknown for token in written.tokens) > 0  # parts of characters


def test_ids_are_sent_where_the_base_shares_the_tokenizer(parts, box):
    tokenizer = parts[0]
    with serving(model=parts[2], tokenizer=tokenizer, as_ids=True) as served:
        written = box(served).write(PROMPT)
    sent = [fields["prompt"] for _, _, fields in served.requests]
    ids = [token.id for token in written.tokens]
    assert sent == [[*tokenizer.encode(PROMPT), *ids[:n]] for n in range(8)]


def test_a_stop_string_ends_a_text_and_is_cut_off(parts, box):
    with serving(model=parts[2], tokenizer=parts[0]) as served:
        text = box(served, as_ids=False).write(PROMPT).text
        written = box(served, as_ids=False, stop=[text[2:4], "never"]).write(PROMPT)
    assert written.ended == "stop"
    assert written.text == text[: text.index(text[2:4])]
    assert len(written.tokens) < 8


def test_each_of_several_ends_ends_a_text(parts, box):
    with serving(model=parts[2], tokenizer=parts[0], as_ids=True) as served:
        tokens = box(served).write(PROMPT).tokens
        for n in (2, 4):
            first = [token.id for token in tokens].index(tokens[n].id)
            written = box(served, end=[299, tokens[n].id]).write(PROMPT)
            assert written.ended == "end"
            assert written.tokens == tokens[: first + 1]
            assert written.text == parts[1].text(token.id for token in tokens[:first])


def test_an_endpoint_that_ends_the_text_ends_it(parts, box):
    choice = {"choices": [{"text": "", "finish_reason": "stop", "logprobs": None}]}
    with serving(script=[(200, {}, choice)]) as served:
        written = box(served).write(PROMPT)
    assert written == ("", [], "endpoint")


def test_an_endpoint_of_which_nothing_is_known_ends_the_text(parts, box):
    table = {"tokens": ["zzz"], "top_logprobs": [{"zzz": -0.1, "yyy": -3.0}]}
    choice = {"choices": [{"text": "zzz", "logprobs": table}]}
    with serving(script=[(200, {}, choice)]) as served:
        written = box(served).write(PROMPT)
    assert written == ("", [], "unknown")
    assert not written.is_certain


def test_a_run_that_breaks_down_goes_on_without_asking_twice(parts, box, tmp_path):
    questions = [{"id": n, "prompt": text} for n, text in enumerate(("the", "a question", "Der"))]
    refusals = [(400, {}, {})]
    asked = []
    with serving(model=parts[2], tokenizer=parts[0], as_ids=True) as served:
        made = box(served, max_new_tokens=2)
        wanted = [
            {"id": question["id"], **made.write(question["prompt"]).record()}
            for question in questions
        ]

        def answer(question):
            asked.append(question["id"])
            if question["id"] == 1 and refusals:
                served.script.append(refusals.pop())
            return made.write(question["prompt"]).record()

        path = tmp_path / "texts.jsonl"
        with pytest.raises(EndpointError, match="status 400"):
            answer_all(path, "id", questions, answer)
        path.write_text(path.read_text() + '{"id": 1, "te')  # as after a kill
        with pytest.warns(UserWarning, match="breaks off"):
            assert answer_all(path, "id", questions, answer) == wanted
    assert asked == [0, 1, 1, 2]
    assert list(answered(path, "id").values()) == wanted


# Chats


def test_a_chat_tells_one_token(parts, box):
    with serving(model=parts[2], tokenizer=parts[0]) as served:
        top_logprobs = ChatTopLogprobs(Endpoint(served.url, "tiny"), 20)
        written = box(served, top_logprobs=top_logprobs, max_new_tokens=1).write(PROMPT)
        text = box(served, num=20, as_ids=False, max_new_tokens=1).write(PROMPT)
        assert [token.id for token in written.tokens] == [token.id for token in text.tokens]
        with pytest.raises(ValueError, match="a chat endpoint gives one token only"):
            box(served, top_logprobs=top_logprobs).write(PROMPT)


def test_a_chat_that_can_goes_on_with_its_half_finished_answer(parts, box):
    continuation_fields = {"continue_final_message": True, "add_generation_prompt": False}
    with serving(model=parts[2], tokenizer=parts[0]) as served:
        top_logprobs = ChatTopLogprobs(Endpoint(served.url, "tiny"), 20, continuation_fields)
        written = box(served, top_logprobs=top_logprobs).write(PROMPT)
    second = served.requests[1][2]
    assert second["messages"][1] == {"role": "assistant", "content": written.tokens[0].text}
    assert second["continue_final_message"] is True
    assert "continue_final_message" not in served.requests[0][2]


# What the endpoint reads


def split_up(tokenizer):
    """Tokens that a tokenizer would never choose for their text."""
    return [i for part in " the" for i in tokenizer.encode(part)]


def test_nothing_is_certain_once_the_endpoint_reads_other_tokens_than_were_chosen(parts, box):
    tokenizer = parts[0]
    odd = split_up(tokenizer)
    assert tokenizer.encode(PROMPT + " the") != [*tokenizer.encode(PROMPT), *odd]

    def answer(fields):
        token_name = f"token_id:{odd[len(told_of)]}" if len(told_of) < len(odd) else "token_id:70"
        told_of.append(token_name)
        return {
            "text": "",
            "logprobs": {"tokens": [token_name], "top_logprobs": [{token_name: -1e-9}]},
        }

    for as_ids in (True, False):
        told_of = []
        with serving() as served:
            served.text = answer
            written = box(served, num=1, as_ids=as_ids, max_new_tokens=5).write(PROMPT)
        assert [token.id for token in written.tokens[: len(odd)]] == odd
        seen = [token.read_back for token in written.tokens]
        assert all(seen) if as_ids else not seen[len(odd)]
        for token in written.tokens:
            assert token.read_back or (token.certain, token.low, token.high) == (False, 0.0, 1.0)
        assert written.is_certain == as_ids


# Lists


def test_a_token_is_known_by_its_id_where_its_text_may_be_two(parts):
    from tests.fixtures.endpoint import piece_tokenizer

    tokenizer = piece_tokenizer()
    token_strings, ids = (
        TokenStrings(tokenizer),
        tokenizer.convert_tokens_to_ids(["A", "▁A", "true"]),
    )
    for i in ids[:2]:
        assert token_strings.id(Candidate("A", -1.0)) is None
        assert token_strings.id(Candidate("A", -1.0, b"A", i)) == i
    assert token_strings.id(Candidate("A", -1.0, b"A", ids[2])) is None  # of another vocabulary
    by_text = token_strings.id(Candidate("true", -1.0))
    assert token_strings.id(Candidate("true", -1.0, None, 9999)) == by_text


def test_tokens_without_a_single_local_id_are_counted_and_left_unseen(parts):
    token_strings = parts[1]
    names = [" the", "zzz", "\ufffd", "Ġthe", "a"]  # the first and the fourth are one token
    candidates = NextTokens([Candidate(t, -1.0 - n) for n, t in enumerate(names)], 0.01)
    seen = local_candidates(candidates, token_strings)
    assert seen.id_K.tolist() == token_strings.ids("a")
    assert sorted(seen.unmatched) == pytest.approx(
        sorted(float(torch.tensor(-1.0 - n).exp()) for n in range(4))
    )
    assert seen.cap == 0.01


def test_a_base_that_reads_text_can_use_no_part_of_a_character(parts):
    tokenizer, token_strings = parts[:2]
    part = tokenizer.convert_tokens_to_ids("Ã")
    candidates = NextTokens([Candidate(f"token_id:{i}", -1.0) for i in (part, 5)], 0.1)
    assert local_candidates(candidates, token_strings).id_K.tolist() == [part, 5]
    seen = local_candidates(candidates, token_strings, whole=True)
    assert seen.id_K.tolist() == [5]
    assert len(seen.unmatched) == 1


# Sampling


def test_draws_follow_the_distribution_with_temperature_and_top_p():
    logprob_K = torch.tensor([0.1, 0.5, 0.15, 0.25], dtype=torch.float64).log()
    rng = torch.Generator().manual_seed(0)
    cases = {
        (1.0, 1.0): [0.1, 0.5, 0.15, 0.25],
        (0.5, 1.0): [0.01, 0.25, 0.0225, 0.0625],
        (1.0, 0.6): [0.0, 0.5, 0.0, 0.25],
        (1.0, 0.01): [0.0, 1.0, 0.0, 0.0],
    }
    for (temperature, top_p), shares in cases.items():
        how = ProxySampling(temperature=temperature, top_p=top_p)
        drawn = torch.tensor([how.choose(logprob_K, rng) for _ in range(2000)])
        wanted = torch.tensor(shares, dtype=torch.float64) / sum(shares)
        frequency = drawn.bincount(minlength=4) / 2000
        torch.testing.assert_close(frequency.double(), wanted, atol=0.04, rtol=0)
    assert ProxySampling().choose(logprob_K, rng) == 1


def test_a_seed_gives_the_same_text_again(parts, box):
    with serving(model=parts[2], tokenizer=parts[0], as_ids=True) as served:
        first, same, second = (
            box(served, num=50, temperature=2.0, seed=seed).write(PROMPT).tokens
            for seed in (1, 1, 2)
        )
    assert first == same
    assert first != second


def test_each_question_and_each_answer_has_its_own_draws(parts, box):
    with serving(model=parts[2], tokenizer=parts[0], as_ids=True) as served:
        made = box(served, num=50, temperature=2.0)
        texts = [made.write(PROMPT, *name).text for name in (("a",), ("b",), ("a", 1), ("a",))]
    assert texts[0] == texts[3]
    assert len({*texts}) == 3


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must not be negative"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\]"),
        ({"stop": [""]}, "a stop string is empty"),
    ],
)
def test_what_cannot_be_sampled_from_is_refused(sampling, message):
    with pytest.raises(ValueError, match=message):
        ProxySampling(**sampling)
