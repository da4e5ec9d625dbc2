import pytest
import torch

from modules.decoding.branches.branches import Branches
from modules.decoding.branches.likelihood import loglikelihood
from tests.fixtures.decoding import KINDS, branch, doubled, plain_logits, prompts, tiny


def make(kind):
    model, other = tiny(kind, 0), tiny(kind, 1, width=16)
    pair = (branch(model, 1.5), branch(other, -0.25, "small"), branch(model, -0.25))
    prompt_ids = [prompts(5, seed=k) for k in (1, 2, 3)]
    return Branches(pair), prompt_ids, prompts(5, (4, 1, 6, 2, 3), seed=7)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_is_the_sum_over_a_plain_loop(kind, batch_size):
    branches, prompt_ids, continuations = make(kind)
    likelihoods = loglikelihood(branches, prompt_ids, continuations, batch_size, by_branch=True)
    models = doubled(branches)
    for b, ids in enumerate(continuations):
        question = [branch_prompts[b] for branch_prompts in prompt_ids]
        greedy = True
        for n, token in enumerate(ids):
            logits = plain_logits(models, question, ids[:n])
            wanted = float(logits.log_softmax(-1)[token])
            assert likelihoods[b].tokens[n] == pytest.approx(wanted, abs=1e-5)
            greedy &= int(logits.argmax()) == token
            for k, name in enumerate(("model_0", "small", "model_2")):
                single_model = [(models[k][0], 1.0)]
                own = plain_logits(single_model, [question[k]], ids[:n]).log_softmax(-1)[token]
                assert likelihoods[b].branches[name][n] == pytest.approx(float(own), abs=1e-5)
        assert likelihoods[b].is_greedy == greedy
        assert likelihoods[b].total == pytest.approx(sum(likelihoods[b].tokens))


def test_what_greedy_decoding_writes_is_greedy():
    from modules.decoding.branches.generate import generate

    branches, prompt_ids, _ = make("llama")
    out = generate(branches, prompt_ids, max_new_tokens=4, do_sample=False)
    written = out[:, max(map(len, prompt_ids[0])) :].tolist()
    assert all(likelihood.is_greedy for likelihood in loglikelihood(branches, prompt_ids, written))


def test_probabilities_of_all_next_tokens_sum_to_one():
    branches, prompt_ids, _ = make("gpt2")
    prompt_ids = [[branch_prompts[0]] * 37 for branch_prompts in prompt_ids]
    likelihoods = loglikelihood(branches, prompt_ids, [[token] for token in range(37)])
    total = torch.tensor([likelihood.total for likelihood in likelihoods]).exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-5)


def test_a_continuation_that_does_not_fit_is_refused_with_the_numbers():
    branches, prompt_ids, _ = make("llama")
    prompt_ids = [[branch_prompts[0]] for branch_prompts in prompt_ids]
    with pytest.raises(ValueError, match=r"9 tokens and a continuation of 60 .* context of 64"):
        loglikelihood(branches, prompt_ids, [[1] * 60])
