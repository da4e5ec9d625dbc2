import json
import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jsonargparse import ArgumentParser

from datamodules.in_context.task import InContextTask
from datamodules.questions.datamodule import QuestionData
from datamodules.questions.source import QuestionSource

CLASSES = {"pos": "good", "neg": "bad", "mid": "fair"}
ROWS = [
    {"text": f"{split} {label} {n}", "kind": label, "split": split}
    for split, num in (("train", 6), ("test", 5))
    for n in range(num)
    for label in CLASSES
]
OPTIONS = {
    "template": "Review: {text}\nSentiment:",
    "label": "kind",
    "verbalisers": CLASSES,
    "where": {"split": "test"},
    "demonstrations_where": {"split": "train"},
}
DATA = os.environ.get("TRAINER_DATA", "")


@pytest.fixture(params=["parquet", "jsonl", "csv"])
def table(request, tmp_path):
    """Writes rows to a file of any kind."""

    def write(rows=ROWS):
        path = tmp_path / f"rows.{request.param}"
        if request.param == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif request.param == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
            path.write_text("\n".join(lines))
        return str(path)

    return write


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def make(**options):
        return InContextTask(str(path), **OPTIONS | options)

    return make


def parsed(prompt):
    """Text and word of each demonstration, and the text that is asked."""
    *shown, asked = prompt.split("\n\n")
    pairs = [one.removeprefix("Review: ").split("\nSentiment: ") for one in shown]
    return [tuple(pair) for pair in pairs], asked


def questions(source):
    return list(source.questions())


def asked_of(source):
    return [one.fields["text"] for one in questions(source)]


def test_a_question_is_demonstrations_of_each_class_and_a_row(table):
    found = questions(InContextTask(table(), **OPTIONS, shown=2))
    assert len(found) == 15
    for one in found:
        shown, asked = parsed(one.fields["prompt"])
        assert asked == f"Review: {one.fields['text']}\nSentiment:"
        assert one.fields["text"].startswith("test ")
        assert Counter(word for _, word in shown) == dict.fromkeys(CLASSES.values(), 2)
        assert all(text.split()[0] == "train" for text, _ in shown)
        assert all(CLASSES[text.split()[1]] == word for text, word in shown)
        assert len({*shown}) == 6
        right = CLASSES[one.fields["text"].split()[1]]
        assert one.choices == [" good", " bad", " fair"]
        assert (one.choices[one.answer], one.references) == (f" {right}", [right])


def test_prompts_that_say_nothing_have_the_same_demonstrations(task):
    for one in questions(task()):
        before = one.fields["prompt"].removesuffix(f"Review: {one.fields['text']}\nSentiment:")
        rest = [one.fields[name] for name in ("content_free", "content_free_2", "content_free_3")]
        said = [text.removeprefix(before) for text in rest]
        assert said == [f"Review: {nothing}\nSentiment:" for nothing in ("N/A", "[MASK]", "")]
    [one, *_] = questions(task(content_free=["nothing"]))
    assert sorted(one.fields) == ["content_free", "prompt", "text"]


def test_the_same_rows_are_asked_whatever_is_shown_and_more_of_it_contains_the_fewer(task):
    wanted = asked_of(task(num=6))
    for labels in ("gold", "random", "flipped", "meaningless"):
        for fixed in (False, True):
            several = [
                questions(task(num=6, labels=labels, fixed=fixed, shown=n)) for n in (6, 2, 1, 0)
            ]
            for found in zip(*several, strict=True):
                more, fewer, one, none = [parsed(each.fields["prompt"])[0] for each in found]
                assert [pair for pair in more if pair in fewer] == fewer
                assert [pair for pair in fewer if pair in one] == one
                assert none == []
                assert len({(*each.choices, each.answer) for each in found}) == 1
            assert [each.fields["text"] for each in several[0]] == wanted


def test_demonstrations_are_the_questions_own_or_the_same_for_all(task):
    own = {one.fields["prompt"].rpartition("\n\n")[0] for one in questions(task())}
    fixed = {one.fields["prompt"].rpartition("\n\n")[0] for one in questions(task(fixed=True))}
    assert (len(own), len(fixed)) == (15, 1)


def test_the_order_seed_draws_other_demonstrations_of_the_same_questions(task):
    first, again, other = (questions(task(order=order)) for order in (0, 0, 1))
    assert first == again
    for one, two in zip(first, other, strict=True):
        assert one.fields["text"] == two.fields["text"]
        assert one.fields["prompt"] != two.fields["prompt"]
    assert asked_of(task(seed=1, num=6)) != asked_of(task(num=6))


def test_classes_come_in_random_order(task):
    words = [
        [word for _, word in parsed(one.fields["prompt"])[0]] for one in questions(task(shown=1))
    ]
    assert len({*map(tuple, words)}) > 3


def test_flipped_demonstrations_and_answers_say_the_word_of_the_next_class(task):
    flipped = dict(zip(CLASSES, ["bad", "fair", "good"], strict=True))
    for one in questions(task(labels="flipped")):
        assert all(
            flipped[text.split()[1]] == word for text, word in parsed(one.fields["prompt"])[0]
        )
        assert one.references == [flipped[one.fields["text"].split()[1]]]
        assert one.choices == [" good", " bad", " fair"]


def test_random_demonstrations_say_any_word_and_the_answer_is_its_own(task):
    gold, chance = (questions(task(labels=labels)) for labels in ("gold", "random"))
    said = Counter()
    for one, two in zip(gold, chance, strict=True):
        ours, theirs = (parsed(each.fields["prompt"])[0] for each in (one, two))
        assert [text for text, _ in ours] == [text for text, _ in theirs]
        assert (one.answer, one.choices) == (two.answer, two.choices)
        said.update(ours == theirs for ours, theirs in zip(ours, theirs, strict=True))
    assert 0.2 < said[True] / said.total() < 0.5  # a third by chance


def test_meaningless_words_stand_for_classes_within_a_question(task):
    found = questions(task(labels="meaningless", meaningless=["dax", "wug", "fep", "lup"]))
    for one in found:
        word_of = {text.split()[1]: word for text, word in parsed(one.fields["prompt"])[0]}
        assert one.references == [word_of[one.fields["text"].split()[1]]]
        assert {*one.choices} == {f" {word}" for word in word_of.values()}
        assert all(word_of[t.split()[1]] == word for t, word in parsed(one.fields["prompt"])[0])
    assert len({(*one.choices,) for one in found}) > 1
    assert len({one.answer for one in found}) == 3


def test_questions_are_balanced_or_as_they_come(task):
    found = asked_of(task(num=7))
    assert sorted(Counter(text.split()[1] for text in found).values()) == [2, 2, 3]
    assert asked_of(task(num=3)) == found[:3]
    plain = asked_of(task(num=7, balanced=False))
    assert len({*plain}) == 7
    assert asked_of(task(num=3, balanced=False)) == plain[:3]


def test_without_a_split_no_row_is_both_asked_and_shown(task):
    found = questions(task(where=None, demonstrations_where=None, num=6, shown=9))
    asked = {one.fields["text"] for one in found}
    shown = {text for one in found for text, _ in parsed(one.fields["prompt"])[0]}
    assert not asked & shown
    assert len(shown) == len(ROWS) - 6


def test_a_text_that_is_asked_is_not_shown_from_another_split(tmp_path):
    path = tmp_path / "rows.jsonl"
    twice = [{**row, "split": "train"} for row in ROWS if row["split"] == "test"]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, *twice]))
    for one in questions(InContextTask(str(path), **OPTIONS, shown=6)):
        assert all(text.startswith("train ") for text, _ in parsed(one.fields["prompt"])[0])


def test_demonstrations_may_lie_in_another_file(tmp_path, task):
    path = tmp_path / "more.jsonl"
    rows = [{"text": f"more {label}", "kind": label} for label in CLASSES]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = task(demonstrations_path=str(path), demonstrations_where={}, shown=1)
    [one, *_] = questions(source)
    assert {text for text, _ in parsed(one.fields["prompt"])[0]} == {row["text"] for row in rows}


def test_a_template_of_several_columns_and_another_separator(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [{"a": f"a{n}", "b": f"b{n}", "label": n % 2} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = {"0": "yes", "1": "no"}
    source = InContextTask(
        str(path), "{a}? {b},", "label", words, shown=1, num=2, separator=" | ", content_free=["-"]
    )
    for one in questions(source):
        *shown, asked = one.fields["prompt"].split(" | ")
        assert asked == f"{one.fields['a']}? {one.fields['b']},"
        assert sorted(text.rpartition(" ")[2] for text in shown) == ["no", "yes"]
        assert one.fields["content_free"] == " | ".join([*shown, "-? -,"])
        assert one.references == [words[str(int(one.fields["a"][1:]) % 2)]]


def test_a_column_that_does_not_exist_is_named_with_those_that_do(table):
    with pytest.raises(ValueError, match=r"no (column )?'review'.*text, kind, split"):
        questions(InContextTask(table(), **OPTIONS | {"template": "{review}:"}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"verbalisers": {"pos": "good", "neg": "bad"}},
            "the label 'mid' has no verbaliser; there are those of pos, neg",
        ),
        (
            {"num": 16},
            "rows.jsonl:split=test: 6 questions of label 'pos' are wanted, but there are 5",
        ),
        ({"num": 16, "balanced": False}, "16 questions are wanted, but there are 15"),
        ({"shown": 7}, "rows.jsonl:split=train: shown is 7, but 6 rows of label 'pos' are left"),
        ({"where": {"split": "dev"}}, "rows.jsonl:split=dev holds no document"),
    ],
)
def test_rows_that_do_not_suffice_are_refused(task, options, message):
    with pytest.raises(ValueError, match=message):
        questions(task(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "Sentiment:"}, "must name a column in braces"),
        ({"template": "{text} is "}, "end without a blank"),
        ({"template": "{text"}, "template"),
        ({"verbalisers": {"pos": "good"}}, "two classes at least, got \\['pos'\\]"),
        (
            {"verbalisers": {"pos": "good", "neg": "good"}},
            "'pos' and 'neg' have the same verbaliser 'good'",
        ),
        ({"verbalisers": {"pos": " good", "neg": "bad"}}, "of 'pos' is ' good': a word without"),
        ({"labels": "wrong"}, "labels must be one of gold, random, flipped, meaningless"),
        ({"labels": "meaningless", "meaningless": ["dax", "wug"]}, "3 classes need as many"),
        ({"labels": "meaningless", "meaningless": ["dax", "wug", "bad"]}, "no verbalisers"),
        ({"shown": -1}, "shown must be at least 0"),
        ({"num": 0}, "num must be at least 1"),
    ],
)
def test_options_that_make_no_task_are_refused_at_once(task, options, message):
    with pytest.raises(ValueError, match=message):
        task(**options)


def test_a_bad_row_costs_itself_only_where_few_are_bad(tmp_path):
    path = tmp_path / "rows.jsonl"
    bad = {"text": "", "kind": "pos", "split": "test"}, {"text": "x", "kind": None, "split": "test"}
    path.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, *bad]))
    with pytest.warns(UserWarning, match=r"2 of 17 documents are bad .*rows.jsonl:34 \(nothing in"):
        assert len(questions(InContextTask(str(path), **OPTIONS, max_bad_rate=0.2))) == 15
    with pytest.raises(ValueError, match=r"More than 1.00% stops the run"):
        questions(InContextTask(str(path), **OPTIONS))


def test_a_config_names_a_task_among_the_sources_of_questions(tmp_path, task):
    parser = ArgumentParser()
    parser.add_argument("--source", type=QuestionSource)
    options = OPTIONS | {"content_free": ["N/A"], "shown": 1, "num": 3}
    init = {"path": str(tmp_path / "rows.jsonl"), **options}
    text = {"class_path": "datamodules.in_context.task.InContextTask", "init_args": init}
    source = parser.instantiate_classes(parser.parse_args([f"--source={json.dumps(text)}"])).source
    data = QuestionData(test=[source], batch_size=3)
    data.setup("test")
    [batch] = data.test_dataloader()
    assert batch["choices"] == [[" good", " bad", " fair"]] * 3
    assert sorted(batch["answer"]) == [0, 1, 2]
    assert all({"prompt", "content_free", "text"} == {*one} for one in batch["question"])


REVIEW = ("Review: {text}\nSentiment:", {"negative": "negative", "positive": "positive"}, "test")
SETS = {
    "sst2": REVIEW,
    "mr": REVIEW,
    "cr": REVIEW,
    "subj": (
        "Input: {text}\nType:",
        {"objective": "objective", "subjective": "subjective"},
        "test",
    ),
    "rte": (
        "Premise: {premise}\nHypothesis: {hypothesis}\nEntailed:",
        {"entailment": "yes", "not_entailment": "no"},
        "val",
    ),
    "trec": (
        "Question: {text}\nAnswer type:",
        {
            "abbreviation": "abbreviation",
            "entity": "entity",
            "description": "description",
            "human": "person",
            "location": "location",
            "numeric": "number",
        },
        "train",
    ),
}


@pytest.mark.skipif(not (Path(DATA) / "icl_tasks").is_dir(), reason="needs the data sets")
@pytest.mark.parametrize("name", SETS)
def test_the_sets_of_short_texts_are_asked_with_four_demonstrations_of_each_class(name):
    template, verbalisers, split = SETS[name]
    source = InContextTask(
        f"{DATA}/icl_tasks/{name}.parquet",
        template,
        "label_name",
        verbalisers,
        where={"split": split},
        demonstrations_where={"split": "train"},
        num=60,
    )
    found = questions(source)
    counts = Counter(one.references[0] for one in found)
    assert counts == dict.fromkeys(verbalisers.values(), 60 // len(verbalisers))
    assert len({one.id for one in found}) == 60
    asked = {source.reader.template.fill(one.fields) for one in found}
    for one in found:
        *shown, last = one.fields["prompt"].split("\n\n")
        assert last in asked
        assert Counter(text.rpartition(" ")[2] for text in shown) == dict.fromkeys(counts, 4)
        assert not asked & {text.rpartition(" ")[0] for text in shown}
