"""The page of all architectures, against the installed transformers."""

import pytest
import transformers

from benchmarks.architectures import PAGE, SETTINGS, WORDS, Row, judge, model_types, page, told

HELD = """llama qwen2 qwen3 qwen2_moe qwen3_moe mistral ministral mixtral gemma gemma3_text phi phi3
gpt2 gpt_neox gpt_bigcode opt olmo olmo2 olmo3 olmoe starcoder2 granite granitemoe cohere cohere2
deepseek_v3 minicpm3 glm glm4 exaone4 smollm3 ernie4_5 seed_oss helium apertus nanochat bitnet
persimmon""".split()
"""Model types that people train with packed rows."""


def version(text):
    """The first two numbers of a version."""
    return ".".join(text.split(".")[:2])


IS_OURS = f"transformers {version(transformers.__version__)}" in PAGE.read_text(encoding="utf-8")
ours = pytest.mark.skipif(
    not IS_OURS,
    reason="the page is of another transformers: run python -m benchmarks.architectures",
)


@ours
def test_the_page_names_every_model_type_of_the_installed_transformers():
    assert sorted(told(PAGE.read_text(encoding="utf-8"))) == model_types()


def test_architectures_that_people_train_are_exact():
    on_page = told(PAGE.read_text(encoding="utf-8"))
    assert [name for name in HELD if not on_page[name].startswith("exact")] == []


def test_a_page_tells_what_its_rows_say():
    rows = [
        Row("a", ("exact", "exact", WORDS["leak"]), "yes", "sdpa"),
        Row("b", (WORDS["leak"], WORDS["own"], WORDS["run"]), reason="seen | told"),
        Row("c", reason="no size", is_built=False),
    ]
    text = page(rows)
    assert told(text) == {"a": "exact", "b": WORDS["leak"], "c": WORDS["run"]}
    assert "3 model types" in text


@ours
@pytest.mark.slow
def test_the_probe_finds_what_the_page_says_of_every_model_type():
    on_page = told(PAGE.read_text(encoding="utf-8"))
    actual = {}
    for name in model_types():
        row = judge(name, SETTINGS[:1])
        actual[name] = row.cells[0] if row.is_built else WORDS["run"]
    assert actual == on_page
