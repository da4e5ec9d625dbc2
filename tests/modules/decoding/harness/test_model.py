"""The lm-evaluation-harness with combined branches, compared with its own model class."""

import os
import runpy
import sys
import warnings
from pathlib import Path

import pytest
import torch

from modules.decoding.branches.branches import Branch, mapped, proxy_tuned
from modules.decoding.decoder import Decoder
from modules.decoding.harness import tasks
from modules.decoding.harness.tasks import Verbatim
from tests.fixtures.decoding import tiny
from tests.fixtures.harness import cad, instances, needs_harness, plain, theirs

CONTEXTS = ["The cat sat on", "A dog ran over the hill, and the", "", "Rain fell. ", "It was\n"]
ENDINGS = [" the mat", " a house and looked at the moon", ".", "x"]
PAIRS = [(context, ending) for context in CONTEXTS for ending in ENDINGS]
LONG = "The cat sat on the mat and looked at the moon; a dog ran over the hill and saw it run. " * 4


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folder)


def test_without_the_package_one_line_tells_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    path = Path(tasks.__file__).with_name("model.py")
    with pytest.raises(ModuleNotFoundError, match=r"not installed: run .* `uv run --group harness"):
        runpy.run_path(str(path))


# Against the harness's own model


@needs_harness
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_likelihoods_are_those_of_the_harness_for_one_model(kind, tokenizer):
    model = tiny(kind, size=300)
    asked = instances("loglikelihood", PAIRS)
    likelihoods = plain(model, tokenizer, batch_size=4).loglikelihood(asked)
    wanted = theirs(model, tokenizer).loglikelihood(asked, disable_tqdm=True)
    assert [total for total, _ in likelihoods] == pytest.approx(
        [total for total, _ in wanted], abs=1e-4
    )
    assert [is_greedy for _, is_greedy in likelihoods] == [is_greedy for _, is_greedy in wanted]


@needs_harness
def test_likelihoods_are_those_of_an_encoder_decoder(tokenizer):
    model = tiny("t5", size=300)
    asked = instances("loglikelihood", [pair for pair in PAIRS if pair[0].strip()])
    likelihoods = plain(model, tokenizer, batch_size=4).loglikelihood(asked)
    for instance, (total, _) in zip(asked, likelihoods, strict=True):
        context, ending = instance.args
        ending = context[len(context.rstrip()) :] + ending
        input_ids = tokenizer(context.rstrip(), return_tensors="pt").input_ids
        ids = torch.tensor([tokenizer.encode(ending, add_special_tokens=False)])
        with torch.no_grad():
            loss = model(input_ids=input_ids, labels=ids).loss  # transformers' own mean
        assert total == pytest.approx(-float(loss) * ids.shape[1], abs=1e-4)


@needs_harness
def test_a_context_that_is_too_long_loses_its_beginning_as_in_the_harness(tokenizer):
    model = tiny("llama", size=300)
    asked = instances("loglikelihood", [(LONG, " the mat"), ("The cat", " sat")])
    lm = plain(model, tokenizer)
    with pytest.warns(UserWarning, match="1 of 2 texts were too long: their beginning"):
        likelihoods = lm.loglikelihood(asked)
    wanted = theirs(model, tokenizer).loglikelihood(asked, disable_tqdm=True)
    for ours, expected in zip(likelihoods, wanted, strict=True):
        assert ours[0] == pytest.approx(expected[0], abs=1e-4)


@needs_harness
@pytest.mark.parametrize("num", [0, 1, 3, 5])
def test_long_texts_are_read_in_the_windows_of_the_harness(num, tokenizer):
    model = tiny("llama", size=300)
    asked = instances("loglikelihood_rolling", [(LONG[: 90 * num],), ("A dog.",)])
    totals = plain(model, tokenizer, batch_size=2).loglikelihood_rolling(asked)
    wanted = theirs(model, tokenizer).loglikelihood_rolling(asked, disable_tqdm=True)
    assert totals == pytest.approx(wanted, abs=1e-3)


@needs_harness
def test_greedy_texts_are_those_of_the_harness(tokenizer):
    model = tiny("llama", size=300)
    how = {"until": ["q", "th"], "max_gen_toks": 12}
    rows = [(context, how) for context in CONTEXTS if context]
    rows += [(context, {"until": "a", "max_gen_toks": 7}) for context in CONTEXTS if context]
    asked = instances("generate_until", rows)
    texts = plain(model, tokenizer, batch_size=2).generate_until(asked)
    assert texts == theirs(model, tokenizer).generate_until(asked, disable_tqdm=True)
    assert len(set(texts)) > 3


STORIES = Path(os.environ.get("TRAINER_MODELS", "models")) / "stories260K"


@needs_harness
@pytest.mark.skipif(not STORIES.is_dir(), reason=f"{STORIES} does not exist")
def test_a_vocabulary_of_pieces_gives_what_the_harness_gives():
    """Of a real model: blanks before the first word, start tokens, windows of its whole context."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(STORIES, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(STORIES)
    ours = plain(model, tokenizer, batch_size=3)
    other = theirs(model, tokenizer, max_length=512, add_bos_token=False)
    prompts = ["Once upon a time", "Tom, who had a dog,", "Lily said:", "The sun"]
    until = {"until": ["."], "max_gen_toks": 12}
    asked = instances("generate_until", [(prompt, until) for prompt in prompts])
    texts = ours.generate_until(asked)
    assert texts == theirs(model, tokenizer, 512).generate_until(asked, disable_tqdm=True)
    assert not any(text.startswith(" ") for text in texts)
    pairs = instances("loglikelihood", [(prompt, " there was a girl.") for prompt in prompts])
    likelihoods = ours.loglikelihood(pairs)
    wanted = theirs(model, tokenizer, 512).loglikelihood(pairs, disable_tqdm=True)
    assert [total for total, _ in likelihoods] == pytest.approx(
        [total for total, _ in wanted], abs=1e-4
    )
    long = instances("loglikelihood_rolling", [(LONG * n,) for n in (1, 4, 9)])
    wanted = other.loglikelihood_rolling(long, disable_tqdm=True)
    assert ours.loglikelihood_rolling(long) == pytest.approx(wanted, abs=1e-2)


# Combined branches


@needs_harness
def test_no_text_depends_on_what_is_read_beside_it(tokenizer):
    model = tiny("gpt2", size=300)
    asked = instances("loglikelihood", [(LONG[: 9 * n] + "Q: what", LONG[:n]) for n in range(1, 9)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        together = cad(model, tokenizer).loglikelihood(asked)
        alone = [cad(model, tokenizer).loglikelihood([instance])[0] for instance in asked]
    assert [t for t, _ in together] == pytest.approx([t for t, _ in alone], abs=1e-4)


@needs_harness
def test_context_aware_likelihoods_are_the_sum_written_out(tokenizer):
    model, alpha = tiny("llama", size=300), 0.5
    context, question, ending = "The cat sat.\n", "Q: what", " sat on the mat"
    asked = instances("loglikelihood", [(context + question, ending)])
    total, _ = cad(model, tokenizer, alpha).loglikelihood(asked)[0]
    ids = tokenizer.encode(ending)
    parts = []
    for text in (context + question, question):
        before = tokenizer.encode(text)
        with torch.no_grad():
            logits = model(torch.tensor([before + ids])).logits[0, len(before) - 1 : -1]
        parts.append(logits)
    log_p = ((1 + alpha) * parts[0] - alpha * parts[1]).log_softmax(-1)
    assert total == pytest.approx(float(log_p[range(len(ids)), ids].sum()), abs=1e-4)


@needs_harness
def test_without_a_context_all_is_as_the_model_has_it_by_itself(tokenizer):
    model = tiny("llama", size=300)
    pairs = instances("loglikelihood", PAIRS)
    texts = instances("loglikelihood_rolling", [(LONG,), ("A dog.",)])
    asked = instances("generate_until", [(text, {"max_gen_toks": 5}) for text in CONTEXTS])
    both, alone = cad(model, tokenizer), plain(model, tokenizer)
    wanted = [total for total, _ in alone.loglikelihood(pairs)]
    assert [total for total, _ in both.loglikelihood(pairs)] == pytest.approx(wanted, abs=1e-3)
    assert both.loglikelihood_rolling(texts) == pytest.approx(
        alone.loglikelihood_rolling(texts), abs=1e-3
    )
    assert both.generate_until(asked) == alone.generate_until(asked)


@needs_harness
def test_parts_of_long_texts_are_told_in_every_branchs_own_ids(tokenizer):
    base, small = tiny("llama", size=300), tiny("llama", seed=1, size=300)
    expert = Branch(small, tokenizer, Verbatim("{question}"))
    first = Branch(base, tokenizer, Verbatim("{question}"))
    text = instances("loglikelihood_rolling", [(LONG,)])
    from modules.decoding.harness.model import Combined

    same = Combined(Decoder(proxy_tuned(first, expert, first)))
    other = Combined(Decoder(proxy_tuned(first, mapped(expert, first), first)))
    assert same.loglikelihood_rolling(text) == pytest.approx(other.loglikelihood_rolling(text))


@needs_harness
def test_a_continuation_without_room_is_told_with_the_numbers(tokenizer):
    lm = plain(tiny("llama", size=300), tokenizer)
    with pytest.raises(ValueError, match=r"prompt is \d+ tokens longer than a model can take"):
        lm.loglikelihood(instances("loglikelihood", [("The cat", LONG)]))


@needs_harness
def test_a_batch_size_that_is_no_number_is_refused(tokenizer):
    with pytest.raises(ValueError, match="batch_size must be a number from 1 on, got 'auto'"):
        plain(tiny("llama", size=300), tokenizer, batch_size="auto")
