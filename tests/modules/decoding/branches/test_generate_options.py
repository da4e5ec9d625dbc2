"""Options of `generate` as transformers has them, and modes that are refused."""

import pytest
import torch

from modules.decoding.branches.branches import Branches
from modules.decoding.branches.generate import generate
from tests.fixtures.decoding import (
    branch,
    doubled,
    plain_logits,
    prompts,
    tiny,
)
from tests.fixtures.method_branches import NEW, make, new_tokens


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
