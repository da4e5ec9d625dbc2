"""Encoder-decoders of several families begin, end and are scored as they do by themselves."""

import pytest
import torch

from modules.decoding.branches.branches import Branch, Branches
from modules.decoding.decoder import Decoder
from modules.prompting.format import Formatted
from tests.fixtures.decoding import VOCABULARY, Numbers, prompts

PLACED = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
    "eos_token_id": 36,
}
BIASED = {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2}
FAMILIES = {
    "T5": {**BIASED, "num_heads": 4, "decoder_start_token_id": 0, "eos_token_id": 36},
    "Bart": {**PLACED, "decoder_start_token_id": 2},
    "MBart": {**PLACED, "decoder_start_token_id": 30},
    "Pegasus": {**PLACED, "decoder_start_token_id": 0},
    "Marian": {**PLACED, "decoder_start_token_id": 35},
}
END = {"forced_eos_token_id": 36}
WRITTEN = {
    "T5": {},
    "Bart": {**END, "forced_bos_token_id": 3},
    "MBart": {**END, "forced_bos_token_id": 31},
    "Pegasus": END,
    "Marian": {**END, "bad_words_ids": [[35]]},
}
PADS = {"T5": 0, "Bart": 1, "MBart": 1, "Pegasus": 0, "Marian": 35}
ASKED = [{"question": " ".join(map(str, prompt))} for prompt in prompts(3)]


def model_of(family, seed=0, **changed):
    import transformers as t

    torch.manual_seed(seed)
    config = getattr(t, f"{family}Config")(
        **FAMILIES[family] | {"pad_token_id": PADS[family], "bos_token_id": 4} | changed
    )
    kind = "MarianMTModel" if family == "Marian" else f"{family}ForConditionalGeneration"
    config.tie_word_embeddings = False
    model = getattr(t, kind)(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.4)
    model.generation_config.update(**WRITTEN[family])
    return model


def branch(model, weight=1.0, name="model"):
    tokenizer = Numbers()
    tokenizer.pad_token_id = model.config.pad_token_id
    return Branch(model, tokenizer, Formatted("{question}"), weight, name)


def by_itself(model, **how):
    """New tokens of transformers' own `generate`, a question at a time."""
    written = []
    for question in ASKED:
        token_BL = torch.tensor([[int(word) for word in question["question"].split()]])
        for row in model.generate(token_BL, **how)[:, 1:].tolist():
            written.append(row[: row.index(36) + 1] if 36 in row else row)
    return written


@pytest.mark.parametrize("num_beams", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_written_as_transformers_writes_each_question(family, num_beams):
    model = model_of(family)
    how = {"max_new_tokens": 7, "do_sample": False, "num_beams": num_beams}
    wanted = by_itself(model, **how)
    pair = (branch(model, 0.5, "a"), branch(model, 0.5, "b"))
    alone = Branches((branch(model),))
    for decoder in (Decoder(alone), Decoder(alone, share_prompts=True), Decoder(Branches(pair))):
        assert [answer.tokens for answer in decoder.generate(ASKED, **how)] == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_are_scored_behind_the_start_and_the_forced_token(family):
    model = model_of(family)
    forced = WRITTEN[family].get("forced_bos_token_id")
    lead = [model.config.decoder_start_token_id, *([] if forced is None else [forced])]
    likelihoods = Decoder(Branches((branch(model),))).loglikelihood(ASKED[:2], [" 5 6 7", " 8 9"])
    for likelihood, asked, new in zip(likelihoods, ASKED, ([5, 6, 7], [8, 9]), strict=False):
        token_BL = torch.tensor([[int(word) for word in asked["question"].split()]])
        before = torch.tensor([[*lead, *new[:-1]]])
        scores = model(input_ids=token_BL, decoder_input_ids=before).logits[0].log_softmax(-1)
        scores = scores.detach()
        wanted = [float(scores[len(lead) - 1 + n, token]) for n, token in enumerate(new)]
        assert likelihood.tokens == pytest.approx(wanted, abs=1e-4)


def test_a_forced_token_that_was_written_is_certain():
    decoder = Decoder(Branches((branch(model_of("MBart")),)))
    bare, led, only = decoder.loglikelihood(ASKED[:1] * 3, [[5, 6], [31, 5, 6], [31]])
    assert led.tokens == [0.0, *bare.tokens]
    assert (only.tokens, only.is_greedy) == ([0.0], True)


def test_every_branch_begins_with_its_own_models_start_unless_the_caller_says_another():
    first, second = model_of("Bart"), model_of("Bart", seed=1, decoder_start_token_id=9)
    pair = Branches((branch(first, 0.0), branch(second)), keep_zero=True)
    how = {"max_new_tokens": 4, "do_sample": False, "forced_bos_token_id": 3}
    decoder = Decoder(pair)
    assert [answer.tokens for answer in decoder.generate(ASKED, **how)] == by_itself(second, **how)
    options = {**how, "decoder_start_token_id": 8}
    assert [answer.tokens for answer in decoder.generate(ASKED, **options)] == by_itself(
        second, **options
    )
