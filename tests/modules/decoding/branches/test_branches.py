import warnings

import pytest
import torch

from modules.decoding.branches import branches as ready
from modules.decoding.branches.branches import Branches
from modules.decoding.branches.combination import AdaptiveContrast, PlausibleOnly
from modules.decoding.branches.generate import generate
from modules.decoding.branches.vocabulary import NONE, check_same, map_by_string
from modules.decoding.decoder import Decoder
from modules.prompting.format import Formatted
from tests.fixtures.decoding import (
    Numbers,
    branch,
    doubled,
    nothing,
    plain_greedy,
    plain_logits,
    prompts,
    tiny,
)


def test_the_ready_made_ones_have_the_weights_of_their_papers():
    model, tokenizer = tiny("llama"), Numbers()
    cad = ready.context_aware(model, tokenizer, nothing, nothing, 0.5)
    assert cad.weights == [1.5, -0.5]
    assert ready.guided(model, tokenizer, nothing, nothing, 1.5).weights == [1.5, -0.5]
    three = [branch(tiny("llama", i)) for i in range(3)]
    assert ready.proxy_tuned(*three, alpha=0.7).weights == [1.0, 0.7, -0.7]
    pair = ready.contrastive(*three[:2])
    assert pair.weights == [1.5, -0.5]
    assert pair.combination == PlausibleOnly(cad.combination, 0.1)
    adaptive = ready.context_aware(model, tokenizer, nothing, nothing, adaptive=True)
    assert adaptive.combination == AdaptiveContrast()


def test_models_and_a_tokenizer_are_enough_for_proxy_tuning_and_contrast():
    model, other, tokenizer = tiny("llama"), tiny("llama", 1), Numbers()
    tuned = ready.proxy_tuned(model, model, model, tokenizer)
    assert [member.name for member in tuned.branches] == ["base", "expert", "antiexpert"]
    assert ready.proxy_tuned(model, other, model, tokenizer, 0.5).weights == [1.0, 0.5, -0.5]
    how = {"max_new_tokens": 4, "do_sample": False}
    answers = Decoder(tuned).generate(["1 2 3"], **how)
    alone = Branches((ready.as_branch(model, tokenizer),))
    assert answers == Decoder(alone).generate([{"question": "1 2 3"}], **how)
    assert ready.contrastive(model, other, tokenizer=tokenizer).weights == [1.5, -0.5]
    own = ready.proxy_tuned(model, other, model, tokenizer, prompt=Formatted("{question} 7"))
    assert Decoder(own).prompts(["1"], 2) == [[[1, 7]]] * 3
    with pytest.raises(TypeError, match="LlamaForCausalLM is not a Branch: give its tokenizer"):
        ready.proxy_tuned(model, model, model)
    assert ready.proxy_tuned(*(branch(model) for _ in range(3)), 0.7).weights == [1.0, 0.7, -0.7]


def test_weights_that_do_not_sum_to_one_are_told_and_taken():
    with pytest.warns(UserWarning, match=r"sum to 1\.5, not to 1"):
        Branches((branch(tiny("llama"), 1.5),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Branches((branch(tiny("llama"), 1.5), branch(tiny("llama"), -0.5)))


def test_no_branch_and_unlike_kinds_are_refused():
    with pytest.raises(ValueError, match="at least one branch"):
        Branches(())
    with pytest.raises(ValueError, match="cannot continue the same text"):
        Branches((branch(tiny("llama")), branch(tiny("t5"), 0.0)))


# Vocabularies


def test_a_differing_entry_is_named():
    other = Numbers()
    other.words[5] = "five"
    other.words[9] = "nine"
    with pytest.raises(ValueError, match=r"2 of 37 entries differ: 5 is '5' .* 'five' .*; 9 is"):
        check_same(Numbers(), other, "expert")
    with pytest.raises(ValueError, match="35 is '35' in the first and missing in the other"):
        check_same(Numbers(), Numbers(35))


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_tokens_behind_the_end_of_the_first_vocabulary_are_never_written(kind):
    base, expert = tiny(kind, 0), tiny(kind, 1, size=40, width=16)
    wide = Numbers(37, extra=("a", "b", "c"))
    pair = Branches(
        (branch(base), ready.Branch(expert, wide, nothing, 1.0), branch(tiny(kind, 2), -1.0))
    )
    prompt_ids = [prompts(2, seed=k) for k in range(3)]
    out = generate(pair, prompt_ids, max_new_tokens=4, do_sample=False)
    models = doubled(pair)
    written = []
    for _ in range(4):
        parts = [
            plain_logits([weighted], [ids[0]], written)[:37]
            for weighted, ids in zip(models, prompt_ids, strict=True)
        ]
        written.append(int(sum(parts).argmax()))
    assert out[0, -4:].tolist() == written


def test_logits_that_a_branch_lacks_are_never_chosen():
    """A first model whose table has more rows than the other's, as padded ones have."""
    pair = Branches(
        (branch(tiny("llama", 0, size=48)), branch(tiny("llama", 1), -0.0)), keep_zero=True
    )
    prompt_ids = [prompts(1)] * 2
    out = generate(
        pair, prompt_ids, max_new_tokens=3, output_logits=True, return_dict_in_generate=True
    )
    assert all(torch.isinf(step[:, 37:]).all() for step in out.logits)
    assert all(torch.isfinite(step[:, :37]).all() for step in out.logits)


def test_a_mapping_by_strings_undoes_a_shuffled_vocabulary():
    """A model whose rows and columns are permuted is the same model to its mapping."""
    model, order = tiny("llama"), torch.randperm(37, generator=torch.Generator().manual_seed(1))
    shuffled = tiny("llama")
    with torch.no_grad():
        shuffled.model.embed_tokens.weight.copy_(model.model.embed_tokens.weight[order])
        shuffled.lm_head.weight.copy_(model.lm_head.weight[order])
    names = Numbers()
    names.words = [names.words[i] for i in order]
    mapping = map_by_string(Numbers(), names)
    small = tiny("llama", 3)
    own = [order.argsort()[torch.tensor(ids)].tolist() for ids in prompts(2)]
    mapped = ready.Branch(shuffled, names, nothing, -0.5, mapping=mapping)
    token_BL = generate(
        Branches((branch(small, 1.5), mapped)), [prompts(2), own], max_new_tokens=6, do_sample=False
    )
    plain = Branches((branch(small, 1.5), branch(model, -0.5)))
    wanted = generate(plain, [prompts(2), prompts(2)], max_new_tokens=6, do_sample=False)
    assert torch.equal(token_BL, wanted)


def test_tokens_that_a_mapping_does_not_know_are_never_written():
    names = Numbers()
    names.words[4] = "four"
    mapping = map_by_string(Numbers(), names)
    assert mapping[4] == NONE
    other = ready.Branch(tiny("llama", 1), names, nothing, 0.5, mapping=mapping)
    pair = Branches((branch(tiny("llama"), 0.5), other))
    prompt_ids = [prompts(1)] * 2
    out = generate(
        pair, prompt_ids, max_new_tokens=3, output_logits=True, return_dict_in_generate=True
    )
    assert all(torch.isinf(step[:, 4]).all() for step in out.logits)


def test_vocabularies_without_a_common_token_are_refused():
    other = Numbers()
    other.words = [f"w{word}" for word in other.words]
    with pytest.raises(ValueError, match="share no token"):
        map_by_string(Numbers(), other)


# Other combinations, generated


def test_the_adaptive_contrast_is_generated_as_the_plain_loop_does():
    model = tiny("llama")
    pair = Branches((branch(model), branch(model)), AdaptiveContrast())
    prompt_ids = [prompts(2, seed=1), prompts(2, seed=2)]
    out = generate(pair, prompt_ids, max_new_tokens=6, do_sample=False)
    models = doubled(pair)
    written = []
    for _ in range(6):
        strong, weak = (
            plain_logits([(m, 1.0)], [ids[0]], written)
            for (m, _), ids in zip(models, prompt_ids, strict=True)
        )
        p, q = strong.softmax(-1), weak.softmax(-1)
        m = (p + q) / 2
        alpha = (p * (p / m).log2()).sum() / 2 + (q * (q / m).log2()).sum() / 2
        written.append(int(((1 + alpha) * strong - alpha * weak).argmax()))
    assert out[0, -6:].tolist() == written


def test_plain_greedy_of_two_equal_branches_is_that_of_one():
    model = tiny("gpt2")
    pair = Branches((branch(model, 0.3), branch(model, 0.7)))
    out = generate(pair, [prompts(1), prompts(1)], max_new_tokens=6, do_sample=False)
    assert out[0, -6:].tolist() == plain_greedy([(doubled(pair)[0][0], 1.0)], [prompts(1)[0]], 6)
