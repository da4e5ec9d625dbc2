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

NEW = 8
BATCHES = (1, 5)
METHODS = ("one model", "three models", "both")


def make(kind, method):
    """Branches of a method with unequal prompts: [branch][question]."""
    model = tiny(kind, 0)
    if method == "one model":
        pair = (branch(model, 1.5), branch(model, -0.5))
    elif method == "three models":
        small = tiny(kind, 1, width=16), tiny(kind, 2, width=16)
        pair = (branch(model), branch(small[0], 1.0, "expert"), branch(small[1], -1.0, "anti"))
    else:
        pair = (branch(model, 1.5), branch(tiny(kind, 1, width=16), -0.25), branch(model, -0.25))
    orders = ((9, 3, 7, 12, 5), (2, 8, 1, 3, 6), (4, 4, 11, 2, 9))
    prompt_ids = [prompts(5, orders[k], seed=k) for k in range(len(pair))]
    return Branches(pair), prompt_ids


def new_tokens(branches, prompt_ids, out):
    sequences = out if isinstance(out, torch.Tensor) else out.sequences
    is_encoded = branches.first.model.config.is_encoder_decoder
    return sequences[:, 1 if is_encoded else max(map(len, prompt_ids[0])) :].tolist()


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


# What users of `generate` know


class Heard:
    """A streamer that keeps what it is given."""

    def __init__(self):
        self.tokens, self.is_over = [], False

    def put(self, value):
        self.tokens += value.flatten().tolist()

    def end(self):
        self.is_over = True


def test_a_streamer_hears_every_token():
    branches, prompt_ids = make("llama", "both")
    heard = Heard()
    prompt_ids = [branch_prompts[:1] for branch_prompts in prompt_ids]
    out = generate(branches, prompt_ids, max_new_tokens=NEW, do_sample=False, streamer=heard)
    assert heard.tokens == out[0].tolist()
    assert heard.is_over


def test_any_of_several_end_tokens_ends_a_sequence_and_padding_follows():
    branches, prompt_ids = make("llama", "both")
    free = new_tokens(
        branches, prompt_ids, generate(branches, prompt_ids, max_new_tokens=NEW, do_sample=False)
    )
    ends = [free[0][2], free[1][4]]
    out = generate(branches, prompt_ids, max_new_tokens=NEW, do_sample=False, eos_token_id=ends)
    for written, whole in zip(new_tokens(branches, prompt_ids, out), free, strict=True):
        stop = next((n + 1 for n, token in enumerate(whole) if token in ends), NEW)
        assert written[:stop] == whole[:stop]
        assert not any(written[stop:])


def test_scores_are_processed_after_the_sum():
    branches, prompt_ids = make("gpt2", "both")
    free = new_tokens(
        branches, prompt_ids, generate(branches, prompt_ids, max_new_tokens=1, do_sample=False)
    )
    banned = free[0][0]
    out = generate(
        branches, prompt_ids, max_new_tokens=4, do_sample=False, bad_words_ids=[[banned]]
    )
    assert banned not in torch.tensor(new_tokens(branches, prompt_ids, out))


def test_top_p_keeps_the_top_of_the_combined_distribution():
    branches, prompt_ids = make("llama", "one model")
    models = doubled(branches)
    prompt_ids = [branch_prompts[:1] for branch_prompts in prompt_ids]
    p, order = (
        plain_logits(models, [branch_prompts[0] for branch_prompts in prompt_ids], [])
        .softmax(-1)
        .sort(descending=True)
    )
    allowed = set(order[: int((p.cumsum(0) < 0.98).sum()) + 1].tolist())
    torch.manual_seed(0)
    out = generate(
        branches,
        prompt_ids,
        max_new_tokens=1,
        do_sample=True,
        top_k=0,
        top_p=0.98,
        num_return_sequences=64,
    )
    first_tokens = {row[0] for row in new_tokens(branches, prompt_ids, out)}
    assert first_tokens <= allowed
    assert len(first_tokens) > 1


def test_modes_without_a_loop_are_refused_by_name():
    branches, prompt_ids = make("llama", "one model")
    with pytest.raises(ValueError, match="cannot be combined"):
        generate(
            branches, prompt_ids, max_new_tokens=2, penalty_alpha=0.6, top_k=4, do_sample=False
        )


def test_prompts_that_do_not_fit_the_context_are_refused_with_the_numbers():
    branches, _ = make("llama", "one model")
    prompt_ids = [prompts(1, (60,)), prompts(1, (3,))]
    with pytest.raises(ValueError, match=r"60 tokens with 8 new ones .* context of 64"):
        generate(branches, prompt_ids, max_new_tokens=8)


def test_models_without_keys_and_values_are_refused_by_name():
    import transformers as t

    config = t.MambaConfig(vocab_size=37, hidden_size=16, num_hidden_layers=1, state_size=4)
    pair = Branches((branch(tiny("llama"), 0.5), branch(t.MambaForCausalLM(config), 0.5)))
    with pytest.raises(ValueError, match="MambaForCausalLM has no key-value cache"):
        generate(pair, [[[3]], [[3]]], max_new_tokens=2)


def test_a_prompt_without_a_token_is_refused():
    branches, prompt_ids = make("llama", "one model")
    with pytest.raises(
        ValueError, match="question 1 has a prompt without a token for branch model_1"
    ):
        generate(branches, [prompt_ids[0][:2], [[3], []]], max_new_tokens=2)
