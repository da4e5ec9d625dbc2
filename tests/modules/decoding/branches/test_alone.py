"""Answers do not depend on the other questions of a batch: draws, ends, padding, cuts."""

from dataclasses import replace

import pytest
import torch

from modules.causal_lm.tokens.ends import up_to_end
from modules.decoding.branches.branches import (
    Branch,
    Branches,
    context_aware,
    encode,
    mapped,
    proxy_tuned,
)
from modules.decoding.decoder import Decoder
from modules.decoding.fitting import Fitted
from modules.decoding.records import by_token, right_choices
from modules.prompting.format import Formatted
from tests.fixtures.decoding import Numbers, doubled, plain_greedy, plain_logits, tiny
from tests.fixtures.endpoint import piece_tokenizer

QUESTIONS = ["5 6 7 8 1 2 3", "11 30", "9 4 20 21", "20", "3 3 3 3 3 3 3 3 3 3 12"]
WARM = {"max_new_tokens": 10, "do_sample": True, "temperature": 0.9, "top_k": 30, "top_p": 0.95}


def three(kind):
    return Decoder(proxy_tuned(*(tiny(kind, seed) for seed in range(3)), Numbers()))


def alone_decoder(kind):
    return Decoder(Branches((Branch(tiny(kind), Numbers(), Formatted("{question}")),)))


def tokens(decoder, questions, **how):
    return [written.tokens for written in decoder.generate(questions, **how)]


# Chance


@pytest.mark.parametrize("build", [three, alone_decoder])
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_drawn_answer_is_the_same_alone_in_any_batch_and_in_any_order(build, kind):
    decoder = build(kind)
    names = [f"q{n}" for n in range(5)]
    together = tokens(decoder, QUESTIONS, names=names, **WARM)
    alone = [
        tokens(decoder, [q], names=[n], **WARM)[0] for q, n in zip(QUESTIONS, names, strict=True)
    ]
    assert alone == together
    assert tokens(decoder, QUESTIONS[::-1], names=names[::-1], **WARM) == together[::-1]
    rest = tokens(decoder, QUESTIONS[3:], names=names[3:], **WARM)
    assert rest == together[3:]
    assert tokens(decoder, QUESTIONS, names=names, seed=1, **WARM) != together


def test_each_answer_of_a_question_and_each_name_has_chance_of_its_own():
    decoder = alone_decoder("llama")
    two = tokens(decoder, QUESTIONS[:2], num_return_sequences=2, **WARM)
    assert two[0] != two[1]
    assert two[::2] == tokens(decoder, QUESTIONS[:2], **WARM)
    assert tokens(decoder, QUESTIONS[1:2], num_return_sequences=3, **WARM)[:2] == two[2:]
    same = tokens(decoder, QUESTIONS[:1] * 2, names=["a", "b"], **WARM)
    assert same[0] != same[1]


@pytest.mark.parametrize("build", [three, alone_decoder])
def test_beams_that_draw_do_so_for_each_question(build):
    decoder, how = build("llama"), {**WARM, "num_beams": 3, "max_new_tokens": 5}
    together = tokens(decoder, QUESTIONS, **how)
    assert [tokens(decoder, [q], **how)[0] for q in QUESTIONS] == together
    before = torch.random.get_rng_state()
    tokens(decoder, QUESTIONS[:1], **how)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_draws_follow_the_combined_distribution():
    decoder = three("llama")
    how = {"max_new_tokens": 1, "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    drawn = tokens(decoder, ["1 2"] * 2000, names=[str(n) for n in range(2000)], **how)
    share_V = torch.bincount(torch.tensor(drawn)[:, 0], minlength=37) / 2000
    wanted = plain_logits(doubled(decoder.branches), [[1, 2]] * 3, []).softmax(-1)
    assert float((share_V - wanted).abs().max()) < 0.04


@pytest.mark.parametrize("build", [three, alone_decoder])
def test_a_penalty_on_seen_tokens_does_not_see_padding(build):
    """The padding is what the short question's answer begins with."""
    decoder = build("llama")
    how = {"max_new_tokens": 6, "do_sample": False, "repetition_penalty": 1000.0}
    free = tokens(decoder, ["20"], **how)[0]
    decoder.tokenizer.pad_token_id = free[0]
    assert tokens(decoder, ["20", QUESTIONS[4]], **how)[0] == free


# Ends


def free_texts(decoder):
    return [w.tokens for w in decoder.generate(QUESTIONS, max_new_tokens=10, do_sample=False)]


def test_nothing_behind_the_stop_string_of_a_row_is_recorded():
    decoder = alone_decoder("llama")
    free = free_texts(decoder)
    number = max(range(5), key=lambda n: len(free[n]))
    stop = f" {free[number][3]} "
    together = decoder.generate(QUESTIONS, max_new_tokens=10, do_sample=False, stop=[stop])
    alone = [
        decoder.generate([q], max_new_tokens=10, do_sample=False, stop=[stop])[0] for q in QUESTIONS
    ]
    assert [w.tokens for w in together] == [w.tokens for w in alone]
    assert [w.text for w in together] == [w.text for w in alone]
    assert len(together[number].tokens) <= 5
    for written, whole in zip(together, free, strict=True):
        assert written.tokens == whole[: len(written.tokens)]
        assert stop not in written.text


def test_a_stop_string_that_begins_in_the_prompt_does_not_end_an_answer():
    decoder = alone_decoder("llama")
    first = decoder.generate(["11 30"], max_new_tokens=6, do_sample=False)[0]
    stop = f"30 {first.tokens[0]}"
    again = decoder.generate(["11 30"], max_new_tokens=6, do_sample=False, stop=[stop])[0]
    assert again.tokens == first.tokens


FREE = {"max_new_tokens": 8, "do_sample": False}


def test_the_ends_of_an_expert_are_heard_and_those_of_an_anti_expert_are_not():
    decoder = three("llama")
    (free,) = tokens(decoder, QUESTIONS[:1], **FREE, eos_token_id=[])
    base, expert, anti = (branch.model.generation_config for branch in decoder.branches.branches)
    expert.eos_token_id = [2, free[3]]
    anti.eos_token_id = free[1]
    assert decoder.ends() == {36, 2, free[3]}
    written = tokens(decoder, QUESTIONS[:1], **FREE)
    assert written == [up_to_end(free, {36, 2, free[3]})]
    assert base.eos_token_id is None
    assert decoder.ends(5) == {5}


def test_ends_of_a_mapped_expert_are_heard_in_the_first_vocabulary():
    model, tokenizer = tiny("llama"), Numbers()
    turned = Numbers()
    turned.words = turned.words[::-1]
    first = Branch(model, tokenizer, Formatted("{question}"))
    expert = mapped(Branch(tiny("llama", 1), turned, first.prompt), first)
    expert.model.generation_config.eos_token_id = 4
    pair = replace(first, weight=0.5), replace(expert, weight=0.5)
    assert Decoder(Branches(pair)).ends() == {36, 32, 0}


def test_further_ends_may_be_named():
    decoder = alone_decoder("llama")
    (free,) = tokens(decoder, QUESTIONS[:1], **FREE, eos_token_id=[])
    for end in (free[2], str(free[2])):
        written = tokens(decoder, QUESTIONS[:1], ends=[end], **FREE)
        assert written == [up_to_end(free, {36, free[2]})]


# Prompts


def test_a_start_token_stands_once_whoever_writes_it():
    from tokenizers.processors import TemplateProcessing

    tokenizer = piece_tokenizer()
    bare = tokenizer.encode("tru", add_special_tokens=False)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    causal, encoder = tiny("llama"), tiny("t5")
    for text in ("tru", "<s>tru", "<s><s>tru"):
        for special in (True, False):
            prompt = Formatted(text, special)
            ids = encode(Branch(causal, tokenizer, prompt), {})
            assert ids[-len(bare) :] == bare
            assert ids.count(0) == int(special or "<s>" in text)
            read = encode(Branch(encoder, tokenizer, prompt), {})
            assert read[len(ids) :] == [1] * special  # encoders read an end
    assert encode(Branch(causal, tokenizer, Formatted("")), {}) == [0]
    assert encode(Branch(encoder, tokenizer, Formatted("tru</s>")), {}).count(1) == 1


# Cuts

LONG = {"context": " ".join(["8", "9"] * 40), "question": "1 2 3"}


def cad(**more):
    whole, bare = Formatted("{context} {question}"), Formatted("{question}")
    return Decoder(context_aware(tiny("llama"), Numbers(), whole, bare), **more)


def test_records_speak_of_the_prompt_that_was_answered_and_a_question_is_cut_once():
    decoder = cad()
    with pytest.warns(UserWarning, match="1 of 2 questions were too long"):
        asked = decoder.fit([LONG, {"context": "4", "question": "5"}], 20)
    assert [question.num_cut for question in asked] == [len(LONG["context"].split()) - 41, 0]
    written = decoder.generate(asked, max_new_tokens=20, do_sample=False, eos_token_id=[])
    token_records = by_token(decoder, written)
    assert decoder.num_cut == 1
    models = doubled(decoder.branches)
    for answer, tokens_of, ids in zip(written, token_records, asked, strict=True):
        for n, token in enumerate(answer.tokens):
            log_p = plain_logits(models, ids.ids, answer.tokens[:n]).log_softmax(-1)
            assert tokens_of[n]["combined"] == pytest.approx(float(log_p[token]), abs=1e-3)
    assert written[0].tokens == plain_greedy(models, asked[0].ids, 20)


def test_a_short_answer_is_scored_behind_the_prompt_that_left_room_for_a_long_one():
    decoder = cad()
    with pytest.warns(UserWarning, match="1 of 1 questions were too long"):
        (written,) = decoder.generate([LONG], max_new_tokens=30, do_sample=False)
    short = written.tokens[:1]
    (likelihood,) = decoder.loglikelihood([written.asked], [short])
    log_p = plain_logits(doubled(decoder.branches), written.asked.ids, []).log_softmax(-1)
    assert likelihood.total == pytest.approx(float(log_p[short[0]]), abs=1e-4)
    assert len(written.asked.ids[0]) == 64 - 30


def test_choices_are_read_behind_one_prompt_whatever_other_questions_ask():
    decoder = cad()
    short, long = [" 4", " 5"], [" 4 " + "7 " * 30]
    with pytest.warns(UserWarning, match="too long"):
        asked = decoder.fit([LONG, LONG], [1, 31])
    assert [len(question.ids[0]) for question in asked] == [63, 33]
    likelihoods = decoder.loglikelihood(
        [asked[0], asked[0], asked[1]], [*short, *long], batch_size=3
    )  # the longest prompt and the longest continuation together would not fit
    alone = decoder.loglikelihood([asked[0]], short[:1])
    assert likelihoods[0].total == pytest.approx(alone[0].total, abs=1e-4)
    assert len(right_choices(decoder, asked, [short, long], [0, 0])) == 2


def test_a_fitted_question_is_taken_as_it_is():
    decoder = cad()
    own = Fitted({"context": "1", "question": "2"}, [[7, 7, 7], [9]], 5)
    assert decoder.fit([own], 60) == [own]
    assert decoder.prompts([own], 60) == [[[7, 7, 7]], [[9]]]
    assert decoder.num_cut == 0


def test_a_prompt_with_an_open_brace_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match=r"the prompt '\{question': .*written \{\{ \}\}"):
        Formatted("{question")
    assert Formatted("{{}} {question}")({"question": "?"}, None) == "{} ?"
