"""Proxy-tuning of a model served by a local endpoint, against one with all its logits."""

import pytest
import torch

from tests.fixtures.endpoint import PROMPT, serving


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
