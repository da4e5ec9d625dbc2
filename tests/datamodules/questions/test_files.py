import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jsonargparse import ArgumentParser

from datamodules.questions.datamodule import QuestionData
from datamodules.questions.files import JsonlQuestions, ParquetQuestions, right
from datamodules.questions.source import Question, QuestionSource
from datamodules.questions.summaries import Summaries
from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError
from datamodules.records.template import Template

ROWS = [
    {
        "q": "Who?",
        "doc": "A text.",
        "answers": {"text": ["Ann", "Anna"], "start": [1, 1]},
        "options": [" Ann", " Bob"],
        "label": 0,
        "key": "x",
        "part": "test",
    },
    {
        "q": "When?",
        "doc": None,
        "answers": {"text": ["1066"], "start": [3]},
        "options": [" 1066", " 1067"],
        "label": 1,
        "key": "y",
        "part": "dev",
    },
]
OPTIONS = {
    "fields": {"question": "q", "context": "doc"},
    "references": "answers.text",
    "choices": "options",
    "answer": "label",
    "id": "key",
}


@pytest.fixture(params=["jsonl", "parquet"])
def source(request, tmp_path):
    """Writes rows to a file of either kind and opens it."""

    def build(rows=ROWS, **options):
        path = tmp_path / f"rows.{request.param}"
        if request.param == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            return JsonlQuestions(str(path), **options)
        pq.write_table(pa.Table.from_pylist(rows), path)
        return ParquetQuestions(str(path), **options)

    return build


def good(source: QuestionSource) -> list[Question]:
    questions = list(source.questions())
    assert all(isinstance(question, Question) for question in questions), questions
    return questions


def reasons(source: QuestionSource) -> list[str]:
    return [question.reason for question in source.questions() if isinstance(question, BadSample)]


def test_columns_become_fields_references_choices_answers_and_ids(source):
    first, second = good(source(**OPTIONS))
    assert first.id == "x"
    assert first.origin.endswith(("rows.jsonl:1", "rows.parquet:1"))
    assert first.fields == {"question": "Who?", "context": "A text."}
    assert first.references == ["Ann", "Anna"]
    assert (first.choices, first.answer) == ([" Ann", " Bob"], 0)
    assert second.fields == {"question": "When?", "context": ""}
    assert (second.references, second.answer) == (["1066"], 1)


def test_without_a_mapping_every_column_of_text_is_a_field(source):
    first, second = good(source(references="answers.text"))
    assert first.fields == {"q": "Who?", "doc": "A text.", "key": "x", "part": "test"}
    assert second.fields == {"q": "When?", "doc": "", "key": "y", "part": "dev"}
    assert [
        list(question.fields) for question in good(source(id="key", where={"part": "dev"}))
    ] == [["q", "doc"]]


def test_a_column_called_id_names_questions_and_is_no_field(source):
    rows = [{"id": 7, "prompt": "a"}, {"id": 9, "prompt": "b"}]
    for options in ({}, {"fields": {"prompt": "prompt"}}):
        questions = good(source(rows, **options))
        assert [(question.id, question.fields) for question in questions] == [
            ("7", {"prompt": "a"}),
            ("9", {"prompt": "b"}),
        ]


def test_templates_are_filled_from_columns_and_may_be_constant(source):
    templates = {
        "context": "Article: {doc}",
        "ask": "{q} One of{options.0},{options.1} {{x}}",
        "system": "Be brief.",
    }
    first, second = good(source(fields={}, templates=templates))
    assert first.fields == {
        "context": "Article: A text.",
        "ask": "Who? One of Ann, Bob {x}",
        "system": "Be brief.",
    }
    assert second.fields["context"] == ""  # and not "Article: "


def test_only_rows_that_fulfil_the_conditions_are_read(source):
    assert [question.id for question in good(source(**OPTIONS, where={"part": "dev"}))] == ["y"]
    assert good(source(**OPTIONS, where={"part": "none"})) == []
    assert source(where={"part": "dev"}).name.endswith("part=dev")


def test_a_row_that_lacks_a_column_says_which_there_are(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "x", "key": "y"}\n')
    for options in ({"fields": {"question": "text"}}, {"references": "text"}, {"id": "text"}):
        assert reasons(JsonlQuestions(str(path), **options)) == ["no 'text' among q, key"]
    pq.write_table(pa.table({"q": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet has no column 'text'; it has q\."):
        list(ParquetQuestions(str(tmp_path / "a.parquet"), {"question": "text"}).questions())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"q": ["a"]}, "'q' holds no text but list"),
        ({"q": True}, "'q' holds no text but bool"),
        ({"q": " ", "doc": None}, "nothing in question, context"),
        ({"answers": {"text": []}}, "'answers.text' is empty"),
        ({"answers": {"text": ["a", ""]}}, "'answers.text' has a gap"),
        ({"answers": {}}, "no 'answers.text' among q, doc, answers, options, label, key, part"),
        ({"options": None}, "'options' is empty"),
        ({"label": 2}, "the answer 2 is none of 2 choices"),
        ({"label": -1}, "the answer -1 is none of 2 choices"),
        ({"label": "Ann"}, "the answer 'Ann' is none of 2 choices"),
        ({"key": ""}, "'key' is empty"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(tmp_path, change, reason):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (ROWS[0] | change, ROWS[1])))
    questions = list(JsonlQuestions(str(path), **OPTIONS).questions())
    assert isinstance(questions[0], BadSample)
    assert questions[0].reason == reason
    assert questions[0].origin.endswith("a.jsonl:1")
    assert isinstance(questions[1], Question)


def test_lines_that_are_no_objects_are_named(tmp_path):
    path = tmp_path / "data" / "a.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'{"q": "x"}\n\n[1]\n{"q\n\xff\n{"q": "y"}\n')
    questions = list(JsonlQuestions(str(path)).questions())
    assert [
        (question.origin, question.reason)
        for question in questions
        if isinstance(question, BadSample)
    ] == [
        ("data/a.jsonl:3", "not a JSON object"),
        ("data/a.jsonl:4", "broken JSON"),
        ("data/a.jsonl:5", "not UTF-8 at byte 0"),
    ]
    assert [question.id for question in questions if isinstance(question, Question)] == [
        "data/a.jsonl:1",
        "data/a.jsonl:6",
    ]


def test_a_cell_that_is_not_utf8_costs_its_own_row_only(tmp_path):
    path = tmp_path / "a.parquet"
    broken = pa.array([b"one", b"\xff", b"three"]).view(pa.string())
    pq.write_table(pa.table({"q": broken}), path)
    questions = list(ParquetQuestions(str(path)).questions())
    assert [isinstance(question, Question) for question in questions] == [True, False, True]
    assert questions[1].reason == "not UTF-8 at byte 0"


def test_numbers_are_texts_and_a_whole_name_comes_before_a_path(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a.b": 1.5, "a": {"b": "no"}, "n": 7}\n')
    [question] = good(JsonlQuestions(str(path), {"x": "a.b", "y": "n"}))
    assert question.fields == {"x": "1.5", "y": "7"}


def test_the_right_choice_is_an_index_or_a_text():
    assert right(1, ["a", "b"]) == 1
    assert right("b", ["a", "b"]) == 1
    assert right("1", ["a", "b"]) == 1
    assert right("1", ["1", "b"]) == 0
    for value, choices in (("a", ["a", "a"]), (True, ["a", "b"]), (None, ["a"]), (1.0, ["a", "b"])):
        with pytest.raises(BadSampleError, match="is none of"):
            right(value, choices)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"choices": "options"}, "choices=options and answer=None go together"),
        ({"fields": {}}, "needs a field or a template"),
        ({"fields": {"id": "key"}}, "no field may be called 'id'"),
        ({"templates": {"id": "{key}"}}, "no field may be called 'id'"),
        ({"templates": {"x": "{doc"}}, "template 'x': expected '}' before end of string: '{doc'"),
        ({"templates": {"x": "{}"}}, "template 'x': a gap is the name of a column"),
        ({"templates": {"x": "{doc!r}"}}, "template 'x': a gap is the name of a column"),
        ({"templates": {"x": "{doc:>9}"}}, "template 'x': a gap is the name of a column"),
    ],
)
def test_mappings_that_say_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        JsonlQuestions("a.jsonl", **options)


def test_templates_agree_with_str_format():
    record = {"a": "one", "b": 2, "c d": "x"}
    for pattern in ("{a}", "{{{a}}} {b}", "", "x", "{c d}{a}{a}", "}}{{"):
        assert Template("x", pattern).fill(record) == pattern.format(**record)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl does not exist"):
        list(JsonlQuestions(str(tmp_path / "none.jsonl")).questions())
    (tmp_path / "a.parquet").write_text("no Parquet")
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read as Parquet"):
        list(ParquetQuestions(str(tmp_path / "a.parquet")).questions())


def test_summaries_ask_for_a_summary_of_each_article_of_a_set(tmp_path):
    path = tmp_path / "s.parquet"
    rows = {
        "article": ["One {x}.", "Two.", ""],
        "summary": ["1", "2", "3"],
        "set": ["xsum", "cnn_dailymail", "xsum"],
    }
    pq.write_table(pa.table(rows), path)
    asked = "Summarize the article in three sentences. Summary:"
    questions = good(Summaries(str(path)))
    assert [question.references for question in questions] == [["1"], ["2"], ["3"]]
    assert questions[2].fields == {"article": "", "context": "", "question": asked, "prompt": asked}
    assert good(Summaries(str(path), "cnn_dailymail"))[0].fields == {
        "article": "Two.",
        "context": "Article: Two.",
        "question": asked,
        "prompt": f"Article: Two. {asked}",
    }
    first = good(Summaries(str(path), "xsum", "{TL;DR}"))[0]
    assert first.fields["prompt"] == "Article: One {x}. {TL;DR}"


def test_data_and_sources_are_built_from_a_config():
    parser = ArgumentParser()
    parser.add_argument("--data", type=QuestionData)
    sources = [
        {
            "class_path": "datamodules.questions.files.JsonlQuestions",
            "init_args": {"path": "a.jsonl", "fields": {"question": "q"}, "id": "key"},
        },
        {"class_path": "datamodules.questions.memo_trap.MemoTrap", "init_args": {"path": "b"}},
        {"class_path": "datamodules.questions.nq_swap.NQSwap", "init_args": {"path": "c"}},
        {"class_path": "datamodules.questions.summaries.Summaries", "init_args": {"path": "d/e"}},
    ]
    options = {"test": sources, "limit": 3, "answers": "run/predictions.jsonl"}
    config = {"class_path": "datamodules.questions.datamodule.QuestionData", "init_args": options}
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert [asked_source.name for asked_source in data.sources["predict"]] == [
        "a.jsonl",
        "b",
        "c",
        "d/e",
    ]
    assert data.sources["test"][0].fields == {"question": "q"}
    assert (data.limit, data.answers) == (3, "run/predictions.jsonl")
