import pytest
import torch

from modules.decoding.branches.branches import Branches
from modules.decoding.branches.generate import generate
from modules.nn.generators import generator_of
from tests.fixtures.decoding import (
    HYBRIDS,
    KINDS,
    OTHERS,
    branch,
    doubled,
    plain_beams,
    plain_greedy,
    plain_logits,
    plain_samples,
    prompts,
    tiny,
)
from tests.fixtures.method_branches import NEW, make, new_tokens

BATCHES = (1, 5)


METHODS = ("one model", "three models", "both")


def per_question(prompt_ids, num):
    return [[branch_prompts[b] for branch_prompts in prompt_ids] for b in range(num)]


@pytest.mark.parametrize("num", BATCHES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_decoding_is_the_plain_loop(kind, method, num):
    branches, prompt_ids = make(kind, method)
    prompt_ids = [branch_prompts[:num] for branch_prompts in prompt_ids]
    out = generate(
        branches,
        prompt_ids,
        max_new_tokens=NEW,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    written = new_tokens(branches, prompt_ids, out)
    models = doubled(branches)
    for b, question in enumerate(per_question(prompt_ids, num)):
        assert written[b] == plain_greedy(models, question, NEW)
        for n in range(NEW):
            wanted = plain_logits(models, question, written[b][:n])
            torch.testing.assert_close(out.logits[n][b].double(), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", OTHERS)
def test_models_that_place_tokens_otherwise_are_decoded_as_the_plain_loop_does(kind):
    branches, prompt_ids = make(kind, "both")
    written = [
        new_tokens(branches, prompt_ids, generate(branches, prompt_ids, max_new_tokens=6, **how))
        for how in ({"do_sample": False}, {"do_sample": False, "num_beams": 3})
    ]
    models = doubled(branches)
    for b, question in enumerate(per_question(prompt_ids, 5)):
        assert written[0][b] == plain_greedy(models, question, 6)
        assert written[1][b] == plain_beams(models, question, 6, 3)


@pytest.mark.parametrize("kind", HYBRIDS)
def test_a_cache_of_fixed_size_keeps_padding_out_of_convolutions(kind):
    branches, prompt_ids = make(kind, "one model")
    prompt_ids = [branch_prompts[:3] for branch_prompts in prompt_ids]
    how = {"max_new_tokens": 3, "do_sample": False, "cache": "static"}
    how |= {"output_logits": True, "return_dict_in_generate": True}
    out, models = generate(branches, prompt_ids, **how), doubled(branches)
    for b, written in enumerate(new_tokens(branches, prompt_ids, out)):
        for n in range(3):
            wanted = plain_logits(
                models, [branch_prompts[b] for branch_prompts in prompt_ids], written[:n]
            )
            torch.testing.assert_close(out.logits[n][b].double(), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", HYBRIDS)
def test_caches_that_cannot_be_copied_are_read_for_every_beam_and_sample(kind):
    branches, prompt_ids = make(kind, "one model")
    prompt_ids = [branch_prompts[:3] for branch_prompts in prompt_ids]
    how = {"max_new_tokens": 4, "do_sample": False}
    written = new_tokens(branches, prompt_ids, generate(branches, prompt_ids, num_beams=3, **how))
    models = doubled(branches)
    for b, question in enumerate(per_question(prompt_ids, 3)):
        assert written[b] == plain_beams(models, question, 4, 3)
    generators = [generator_of(0, b, n) for b in range(3) for n in range(2)]
    how |= {"do_sample": True, "num_return_sequences": 2, "generators": generators}
    twice = new_tokens(branches, prompt_ids, generate(branches, prompt_ids, **how))
    how |= {"num_return_sequences": 1, "generators": [generator_of(0, b, 0) for b in range(3)]}
    assert new_tokens(branches, prompt_ids, generate(branches, prompt_ids, **how)) == twice[::2]


@pytest.mark.parametrize("num", BATCHES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_beam_search_is_the_plain_one(kind, method, num):
    branches, prompt_ids = make(kind, method)
    prompt_ids = [branch_prompts[:num] for branch_prompts in prompt_ids]
    out = generate(branches, prompt_ids, max_new_tokens=5, do_sample=False, num_beams=4)
    models = doubled(branches)
    for b, question in enumerate(per_question(prompt_ids, num)):
        assert new_tokens(branches, prompt_ids, out)[b] == plain_beams(models, question, 5, 4)


@pytest.mark.parametrize("num", BATCHES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_sampling_with_a_seed_is_the_plain_loop(kind, method, num):
    branches, prompt_ids = make(kind, method)
    prompt_ids = [branch_prompts[:num] for branch_prompts in prompt_ids]
    torch.manual_seed(5)
    out = generate(
        branches,
        prompt_ids,
        max_new_tokens=NEW,
        do_sample=True,
        temperature=0.7,
        top_k=0,
        top_p=1.0,
    )
    wanted = plain_samples(doubled(branches), per_question(prompt_ids, num), NEW, 0.7, seed=5)
    assert new_tokens(branches, prompt_ids, out) == wanted


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_cache_of_fixed_size_gives_the_same_tokens(kind):
    branches, prompt_ids = make(kind, "both")
    outputs = [
        generate(
            branches, prompt_ids, max_new_tokens=NEW, do_sample=False, cache=cache, num_beams=beams
        )
        for cache in ("dynamic", "static")
        for beams in (1, 3)
    ]
    assert torch.equal(outputs[0], outputs[2])
    assert torch.equal(outputs[1], outputs[3])


@pytest.mark.parametrize("kind", KINDS)
def test_several_sequences_of_a_prompt_follow_the_same_distribution_as_one(kind):
    branches, prompt_ids = make(kind, "one model")
    out = generate(
        branches,
        prompt_ids,
        max_new_tokens=4,
        do_sample=True,
        top_k=0,
        num_return_sequences=3,
        output_logits=True,
        return_dict_in_generate=True,
    )
    sequences = new_tokens(branches, prompt_ids, out)
    assert len(sequences) == 15
    models = doubled(branches)
    for row, written in enumerate(sequences):
        question = [branch_prompts[row // 3] for branch_prompts in prompt_ids]
        for n in range(4):
            wanted = plain_logits(models, question, written[:n])
            torch.testing.assert_close(out.logits[n][row].double(), wanted, rtol=0, atol=1e-5)


# Limits


@pytest.mark.parametrize("how", [{"num_beams": 3}, {"do_sample": True, "top_k": 0}, {}])
@pytest.mark.parametrize("kind", KINDS)
def test_alpha_0_is_the_model_itself_to_the_last_bit(kind, how):
    model = tiny(kind)
    branches = Branches((branch(model, 1.0), branch(model, -0.0)))
    assert len(branches.branches) == 1
    prompt_ids = prompts(5)
    arguments = {"max_new_tokens": NEW, "do_sample": False, **how}
    arguments |= {"output_logits": True, "return_dict_in_generate": True}
    torch.manual_seed(0)
    ours = generate(branches, [prompt_ids], **arguments)
    width = max(map(len, prompt_ids))
    left = [0] if kind in ("gpt2", "llama") else []
    rows = [
        (width - len(r)) * left + r + (width - len(r)) * ([] if left else [0]) for r in prompt_ids
    ]
    mask = [
        (width - len(r)) * left + [1] * len(r) + (width - len(r)) * ([] if left else [0])
        for r in prompt_ids
    ]
    torch.manual_seed(0)
    theirs = model.generate(
        input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask), pad_token_id=0, **arguments
    )
    assert torch.equal(ours.sequences, theirs.sequences)
    assert all(torch.equal(a, b) for a, b in zip(ours.logits, theirs.logits, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_0_without_the_short_cut_is_the_model_within_rounding(kind):
    model = tiny(kind)
    pair = (branch(model, 1.0), branch(model, 0.0))
    prompt_ids = prompts(5)
    arguments = {"max_new_tokens": NEW, "do_sample": False}
    arguments |= {"output_logits": True, "return_dict_in_generate": True}
    whole = generate(Branches(pair, keep_zero=True), [prompt_ids, prompts(5, seed=9)], **arguments)
    short = generate(Branches(pair), [prompt_ids], **arguments)
    assert torch.equal(whole.sequences, short.sequences)
    for a, b in zip(whole.logits, short.logits, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_one_prompt_read_once_for_several_samples_gives_the_same_logits():
    branches = Branches((branch(tiny("llama")),))
    arguments = {"max_new_tokens": 4, "do_sample": True, "top_k": 0, "num_return_sequences": 3}
    arguments |= {"output_logits": True, "return_dict_in_generate": True}
    outputs = []
    for share in (False, True):
        torch.manual_seed(2)
        outputs.append(generate(branches, [prompts(2)], share_prompts=share, **arguments))
    assert torch.equal(outputs[0].sequences, outputs[1].sequences)
    for a, b in zip(outputs[0].logits, outputs[1].logits, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
