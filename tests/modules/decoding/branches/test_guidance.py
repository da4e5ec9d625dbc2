"""Context-aware decoding against transformers' own guidance: where that is right, and where not."""

import pytest
import torch

from modules.decoding.branches.branches import Branches
from modules.decoding.branches.generate import generate
from tests.fixtures.decoding import branch, doubled, plain_beams, plain_greedy, prompts, tiny

ALPHA = 0.5
NEW = 8
SEEDS = range(8)


def ours(model, prompt_ids, other, **arguments):
    pair = Branches((branch(model, 1 + ALPHA), branch(model, -ALPHA)))
    return generate(pair, [prompt_ids, other], max_new_tokens=NEW, **arguments)


def theirs(model, prompt_ids, other, **arguments):
    arguments = {"guidance_scale": 1 + ALPHA, "pad_token_id": 0, **arguments}
    return model.generate(
        input_ids=torch.tensor(prompt_ids),
        attention_mask=torch.ones(len(prompt_ids), len(prompt_ids[0]), dtype=torch.long),
        negative_prompt_ids=torch.tensor(other),
        negative_prompt_attention_mask=(torch.tensor(other) != 0).long(),
        max_new_tokens=NEW,
        **arguments,
    )


def questions(seed, num=1):
    return prompts(num, (9,) * num, seed), prompts(num, (4,) * num, seed + 100)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_one_question_without_padding_is_the_same(kind):
    model = tiny(kind)
    for seed in SEEDS:
        for how in ({"do_sample": False}, {"do_sample": True, "top_k": 0, "temperature": 0.8}):
            torch.manual_seed(seed)
            token_BL = ours(model, *questions(seed), **how)
            torch.manual_seed(seed)
            assert torch.equal(token_BL, theirs(model, *questions(seed), **how))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_questions_of_equal_lengths_are_the_same(kind):
    model = tiny(kind)
    prompt_ids, other = questions(0, 4)
    assert torch.equal(
        ours(model, prompt_ids, other, do_sample=False),
        theirs(model, prompt_ids, other, do_sample=False),
    )


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_transformers_guidance_is_wrong_in_beam_search_and_ours_is_not(kind):
    """The cache of its negative branch does not follow the beams."""
    model, num_wrong = tiny(kind), 0
    for seed in SEEDS:
        prompt_ids, other = questions(seed)
        written = ours(model, prompt_ids, other, do_sample=False, num_beams=4)[0, 9:].tolist()
        pair = Branches((branch(model, 1 + ALPHA), branch(model, -ALPHA)))
        assert written == plain_beams(doubled(pair), [prompt_ids[0], other[0]], NEW, 4)
        expanded = theirs(model, prompt_ids, other * 4, do_sample=False, num_beams=4)[
            0, 9:
        ].tolist()
        num_wrong += written != expanded
    assert num_wrong


def test_transformers_guidance_fails_in_beam_search_unless_its_prompt_is_repeated_by_hand():
    model = tiny("llama")
    with pytest.raises(RuntimeError):
        theirs(model, *questions(0), do_sample=False, num_beams=4)


def test_transformers_guidance_fails_with_several_sequences():
    model = tiny("llama")
    assert len(ours(model, *questions(0), do_sample=True, num_return_sequences=3)) == 3
    with pytest.raises(RuntimeError):
        theirs(model, *questions(0), do_sample=True, num_return_sequences=3)


def test_transformers_guidance_fails_with_an_encoder():
    model = tiny("t5")
    assert ours(model, *questions(0), do_sample=False).shape == (1, 1 + NEW)
    with pytest.raises(ValueError, match="exactly one of input_ids or inputs_embeds"):
        theirs(model, *questions(0), do_sample=False)


def test_transformers_guidance_is_wrong_where_the_other_prompt_is_padded():
    """It passes no positions, so a model with absolute ones reads them shifted."""
    model, num_wrong = tiny("gpt2"), 0
    for seed in SEEDS:
        prompt_ids = prompts(2, (9, 9), seed)
        other = prompts(2, (7, 2), seed + 100)
        written = ours(model, prompt_ids, other, do_sample=False)[:, 9:].tolist()
        pair = doubled(Branches((branch(model, 1 + ALPHA), branch(model, -ALPHA))))
        assert written[1] == plain_greedy(pair, [prompt_ids[1], other[1]], NEW)
        padded = [other[0], [0] * 5 + other[1]]
        num_wrong += (
            written[1] != theirs(model, prompt_ids, padded, do_sample=False)[1, 9:].tolist()
        )
    assert num_wrong


def test_transformers_processor_serves_one_call_only():
    from transformers.generation import UnbatchedClassifierFreeGuidanceLogitsProcessor

    model = tiny("llama")
    prompt_ids, other = questions(0)
    processor = UnbatchedClassifierFreeGuidanceLogitsProcessor(
        1 + ALPHA, model, torch.tensor(other)
    )
    arguments = {"do_sample": False, "max_new_tokens": NEW, "pad_token_id": 0}
    mask = torch.ones(1, 9, dtype=torch.long)
    arguments |= {"attention_mask": mask, "logits_processor": [processor]}
    first, second = (model.generate(torch.tensor(prompt_ids), **arguments) for _ in range(2))
    assert torch.equal(first, ours(model, prompt_ids, other, do_sample=False))
    assert not torch.equal(first, second)
