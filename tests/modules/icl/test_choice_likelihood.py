import pytest
import torch
from transformers import AutoTokenizer

from modules.base.rank_share import RankShare
from modules.causal_lm.system import parts
from modules.icl import choice_likelihood
from modules.icl.choice_likelihood import batches, choice_log_p, choice_rows, readings
from modules.icl.label_rows import label_rows
from tests.fixtures.in_context import OPTIONS, label_loss, two_models

PROMPTS = ["The cat:", "A dog ran over the hill, and the cat:", "", "Rain fell. The house:"]
CHOICES = [[" good", " ran"], [" moon", " cat", " dog run"], [" the", " cat"], [" hill", " cats"]]


@pytest.fixture
def tokenizer(tokenizer_folder):
    return AutoTokenizer.from_pretrained(tokenizer_folder)


@pytest.fixture(scope="module", params=OPTIONS)
def models(request):
    return two_models(request.param)


@pytest.mark.parametrize("tokens_per_batch", [1, 40, 8192])
def test_choices_have_the_log_probabilities_of_a_plain_loop(models, tokenizer, tokens_per_batch):
    ours, plain = models
    found = choice_log_p(ours, tokenizer, PROMPTS, CHOICES, tokens_per_batch=tokens_per_batch)
    for prompt, choices, log_p_C in zip(PROMPTS, CHOICES, found, strict=True):
        wanted = [-label_loss(plain, tokenizer, prompt, choice).detach() for choice in choices]
        own = log_p_C[: len(choices)]
        torch.testing.assert_close(own, torch.stack(wanted), rtol=1e-7, atol=0)  # norms: float32
        assert (log_p_C[len(choices) :] == -torch.inf).all()


def test_the_log_probability_of_a_choice_is_the_negative_loss_of_its_row(models, tokenizer):
    ours, _ = models
    found = choice_log_p(ours, tokenizer, PROMPTS, CHOICES)
    for n, prompt in enumerate(PROMPTS):
        for log_p, choice in zip(found[n], CHOICES[n], strict=False):
            loss = ours.loss(*parts(label_rows(tokenizer, [prompt], [choice])))
            assert -loss.item() == pytest.approx(float(log_p), rel=1e-6)


def test_words_of_one_token_take_no_row_beside_a_longer_one_and_equal_prompts_one(tokenizer):
    asked = [[" the", " cat"], [" the", " moon", " cat"], [" the", " moon", " ran"]]
    rows = [choice_rows(tokenizer, None, "q", "Look:", choices) for choices in asked]
    assert [[len(row.word) for row in several] for several in rows] == [
        [1, 1],
        [1, 3, 1],
        [1, 3, 2],
    ]
    assert [len(readings([several])) for several in rows] == [1, 1, 2]
    assert len(readings([rows[0], rows[0]])) == 1
    assert len(readings(rows)) == 3


def test_batches_hold_as_many_rows_as_their_tokens_allow(tokenizer):
    rows = [choice_rows(tokenizer, None, "q", *one) for one in zip(PROMPTS, CHOICES, strict=True)]
    found = readings(rows)
    for limit in (1, 40, 8192):
        made = list(batches(found, limit))
        assert sorted(map(id, found)) == sorted(id(one) for batch in made for one in batch)
        sizes = [(len(batch), max(len(one.longest.read) for one in batch)) for batch in made]
        assert all(num == 1 or num * longest <= limit for num, longest in sizes)


def test_no_prompts_have_no_log_probabilities(models, tokenizer):
    assert choice_log_p(models[0], tokenizer, [], []).shape == (0, 0)


def test_choices_that_begin_alike_are_refused_by_name(models, tokenizer):
    for choices in ([" good", " good"], [" cat", " moon", " cats"]):
        with pytest.raises(
            ValueError,
            match=f"question 'q7': the choices {choices[0]!r} and "
            f"{choices[-1]!r} begin with the same token, '.+'",
        ):
            choice_log_p(models[0], tokenizer, ["The animal:"], [choices], ["q7"])


def test_a_prompt_longer_than_the_model_reads_is_refused_with_id_and_lengths(models, tokenizer):
    ours, _ = models
    prompt = "x" * 126  # and a start, and the first half of "yy"
    assert choice_log_p(ours, tokenizer, [prompt], [["yy", "z"]]).isfinite().all()
    expected = (
        "question 'long': its prompt has 129 tokens and the choice 'yy' 2, but the model reads 128"
    )
    with pytest.raises(ValueError, match=expected):
        choice_log_p(ours, tokenizer, ["x" * 128], [["yy", "z"]], ["long"])


def test_an_empty_choice_is_refused_with_the_id_of_its_question(models, tokenizer):
    with pytest.raises(ValueError, match="question 'q': the continuation '' has no token"):
        choice_log_p(models[0], tokenizer, ["The cat:"], [["", " good"]], ["q"])


def test_ranks_read_equally_many_batches_and_know_together_what_one_knows(
    models, tokenizer, monkeypatch
):
    """Questions of unlike length, so that equally many of them are not equally many batches."""
    ours, read = models[0], choice_likelihood.read
    wanted = choice_log_p(ours, tokenizer, PROMPTS, CHOICES)
    known, calls = {}, []
    monkeypatch.setattr(choice_likelihood, "over_ranks", lambda own: [*known.items(), *own])

    def reading(*arguments):
        calls.append(read(*arguments))
        return calls[-1]

    monkeypatch.setattr(choice_likelihood, "read", reading)
    asked, counts = (ours, tokenizer, PROMPTS, CHOICES), []
    for rank in (0, 1, 0):  # the last knows what both have read
        calls.clear()
        share = RankShare(rank, 2)
        try:
            found = choice_log_p(*asked, tokens_per_batch=40, share=share)
        except KeyError:  # a row of the other rank
            pass
        counts.append(len(calls))
        for one in calls:
            known |= one
    assert counts[0] == counts[1] > 1
    torch.testing.assert_close(found, wanted)
