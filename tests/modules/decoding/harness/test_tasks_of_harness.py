"""Tasks of every kind through the command line of the lm-evaluation-harness."""

import pytest

from modules.decoding.harness.tasks import SplitAt
from tests.fixtures.decoding import tiny
from tests.fixtures.harness import cad, instances, needs_harness, plain, theirs

PAIRS = [(context, ending) for context in ("The cat", "A dog ran", "") for ending in (" sat", ".")]


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folder)


def documents(**given):
    from datasets import Dataset

    rows = [
        {"text": "The cat sat.\nQ: where?", "endings": [" on the mat", " x"], "right": 0},
        {"text": "A dog ran.\nQ: who ran?", "endings": [" a cat", " a dog", " a"], "right": 1},
        {"text": "Q: what fell?", "endings": [" rain", " the house"], "right": 0},
    ]
    return {"test": Dataset.from_list(rows)}


CHOICES = {
    "task": "made_choices",
    "custom_dataset": documents,
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{text}}",
    "doc_to_choice": "endings",
    "doc_to_target": "right",
    "target_delimiter": "",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}
TEXTS = {
    "task": "made_texts",
    "custom_dataset": documents,
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{text}}",
    "doc_to_target": "{{endings[0]}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 6},
    "metric_list": [{"metric": "exact_match"}],
}
PERPLEXITY = {
    "task": "made_perplexity",
    "custom_dataset": documents,
    "test_split": "test",
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{text}}",
    "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
}


def evaluated(model, **options):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    return simple_evaluate(
        model,
        tasks=[dict(task) for task in (CHOICES, TEXTS, PERPLEXITY)],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
        **options,
    )


@needs_harness
def test_tasks_of_all_kinds_give_what_they_give_the_harness_s_own_model(tokenizer):
    model = tiny("llama", size=300)
    result, wanted = evaluated(plain(model, tokenizer)), evaluated(theirs(model, tokenizer))
    for task, row in wanted["results"].items():
        for name, value in row.items():
            if isinstance(value, float):
                assert result["results"][task][name] == pytest.approx(value, rel=1e-4), name
    for task, samples in wanted["samples"].items():
        for sample, expected in zip(result["samples"][task], samples, strict=True):
            assert sample["arguments"] == expected["arguments"]
            for mine, theirs_ in zip(flat(sample["resps"]), flat(expected["resps"]), strict=True):
                assert mine == pytest.approx(theirs_, abs=1e-4)


def flat(value):
    return [v for item in value for v in flat(item)] if isinstance(value, list | tuple) else [value]


@needs_harness
def test_it_is_known_to_the_harness_by_name(tokenizer):
    options = {"decoder": cad(tiny("llama", size=300), tokenizer).decoder, "split": SplitAt("Q:")}
    result = evaluated("combined", model_args=options, batch_size=2)
    assert set(result["results"]) == {"made_choices", "made_texts", "made_perplexity"}


@needs_harness
def test_what_a_cache_holds_is_not_asked_again(tokenizer, tmp_path, monkeypatch):
    lm = cad(tiny("llama", size=300), tokenizer, batch_size=2)
    cache = str(tmp_path / "cache")
    first = evaluated(lm, use_cache=cache)
    for name in ("loglikelihood", "loglikelihood_rolling", "generate_until"):
        monkeypatch.setattr(lm, name, lambda requests: pytest.fail("asked again"))
    again = evaluated(lm, use_cache=cache)
    assert again["results"] == first["results"]


@needs_harness
def test_answers_are_in_the_cache_as_they_come(tokenizer, monkeypatch):
    lm = plain(tiny("llama", size=300), tokenizer, batch_size=2)
    kept = []
    monkeypatch.setattr(lm.cache_hook, "add_partial", lambda *entry: kept.append(entry))
    pairs = instances("loglikelihood", PAIRS)
    likelihoods = lm.loglikelihood(pairs)
    assert sorted(kept, key=lambda entry: PAIRS.index(entry[1])) == [
        ("loglikelihood", pair, likelihood)
        for pair, likelihood in zip(PAIRS, likelihoods, strict=True)
    ]


@needs_harness
def test_a_conversation_is_told_in_the_tokenizers_template(tokenizer_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }} {% endfor %}"
    )
    lm = plain(tiny("llama", size=300), tokenizer)
    assert lm.apply_chat_template([{"role": "user", "content": "Hi"}]) == "[user] Hi "
    assert lm.chat_template(True) == tokenizer.chat_template
    assert lm.chat_template(False) == ""
    assert evaluated(lm, apply_chat_template=True)["results"]
