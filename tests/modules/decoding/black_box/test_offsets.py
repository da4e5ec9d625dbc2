"""Offsets of two local models, with caches and without."""

import pytest
import torch

from modules.decoding.black_box.offsets import Follower, LocalOffsets, prompt_ids
from tests.fixtures.endpoint import END, byte_tokenizer, piece_tokenizer, tiny_model


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


def uncached(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0, -1]


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_cached_logits_are_those_without_a_cache(kind, tokenizer):
    model = tiny_model(kind, len(tokenizer), seed=0, scale=3.0).double()
    follower = Follower(model)
    texts = [
        [5, 6, 7],
        [5, 6, 7, 8],
        [5, 6, 7, 8, 9, 10],
        [5, 6],
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3, 4],
    ]
    for ids in texts:  # continues, goes back, begins anew, repeats a call
        torch.testing.assert_close(follower.logits(ids), uncached(model, ids), rtol=0, atol=1e-10)


def test_only_new_tokens_are_computed(tokenizer):
    model = tiny_model("llama", len(tokenizer), seed=0)
    lengths = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    follower = Follower(model)
    for ids in ([1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5], [9, 9]):
        follower.logits(ids)
    assert lengths == [3, 1, 1, 2]


def test_the_offsets_are_alpha_times_the_difference(tokenizer):
    expert = tiny_model("gpt2", len(tokenizer) + 5, seed=1)  # wider than the tokenizer
    antiexpert = tiny_model("llama", len(tokenizer), seed=2)
    offsets = LocalOffsets(expert, antiexpert, tokenizer, 0.7, expert_prompt="[{}]".format)
    offset_V = offsets("the cat", [7, 8])
    ours = [*tokenizer.encode("[the cat]"), 7, 8], [*tokenizer.encode("the cat"), 7, 8]
    expert_V = uncached(expert, ours[0])[: len(tokenizer)]
    torch.testing.assert_close(offset_V, 0.7 * (expert_V - uncached(antiexpert, ours[1])))
    assert offsets.followers[0].ids == ours[0]


def test_a_failed_step_leaves_no_half_filled_cache(tokenizer):
    model = tiny_model("gpt2", len(tokenizer), seed=1)
    follower = Follower(model)
    follower.logits([1, 2])
    with pytest.raises(IndexError):
        follower.logits([1, 2, len(tokenizer) + 99])
    torch.testing.assert_close(follower.logits([1, 2, 3]), uncached(model, [1, 2, 3]))


def test_prompts_have_one_start_and_no_end():
    from tokenizers.processors import TemplateProcessing

    tokenizer = piece_tokenizer()
    plain = tokenizer.encode("tru")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    assert tokenizer.encode("tru") == [0, *plain, 1]
    assert prompt_ids(tokenizer, "tru") == [0, *plain]
    assert prompt_ids(tokenizer, "<s>tru").count(0) == 1
    assert prompt_ids(byte_tokenizer(), "a" + END)[-1] == byte_tokenizer().eos_token_id


def test_what_does_not_fit_is_refused(tokenizer):
    narrow, wide = (tiny_model("llama", n, seed=0) for n in (20, len(tokenizer)))
    with pytest.raises(ValueError, match="the anti-expert has 20 logits, but the"):
        LocalOffsets(wide, narrow, tokenizer)
    with pytest.raises(ValueError, match="a text of 257 tokens for a model of 256 positions"):
        Follower(wide).logits([1] * 257)
    with pytest.raises(ValueError, match="a text of 0 tokens"):
        Follower(wide).logits([])
