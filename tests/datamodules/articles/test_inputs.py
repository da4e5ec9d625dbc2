"""What a user gives to `predict`."""

import io
from types import SimpleNamespace

import pytest

from tests.fixtures.articles import write_rows


def test_given_texts_come_once_for_each_stance_that_is_asked_for(inputs):
    found = inputs(["some words", "other words"], asked=["right", "left"])
    assert found == [
        ("text 1", -100, 2, "some words"),
        ("text 1", -100, 0, "some words"),
        ("text 2", -100, 2, "other words"),
        ("text 2", -100, 0, "other words"),
    ]


def test_a_table_of_inputs_may_say_stances_and_what_is_asked(inputs, tmp_path):
    rows = [
        {"id": "x", "document": "one two", "stance": "left", "asked": "right"},
        {"id": "y", "document": "three four", "asked": ["left", "center"]},
        {"document": "five six", "stance": "center", "asked": None},
    ]
    path = write_rows(rows, tmp_path / "t.jsonl")
    assert inputs(str(path)) == [
        ("x", 0, 2, "one two"),
        ("y", -100, 0, "three four"),
        ("y", -100, 1, "three four"),
        (f"{path}:3", 1, 1, "five six"),
    ]
    assert [asked for _, _, asked, _ in inputs(str(path), asked=["right"])] == [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"A plain\ntext.", [("stdin", -100, -100, "A plain\ntext.")]),
        (
            b'{"article": "a b", "asked": "right"}\n\n{"article": "c d", "id": "n"}',
            [("stdin:1", -100, 2, "a b"), ("n", -100, -100, "c d")],
        ),
    ],
)
def test_the_standard_input_is_an_article_or_json_lines(inputs, monkeypatch, data, expected):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert inputs("-") == expected


def test_a_folder_gives_an_article_a_text_and_a_row_and_names_what_it_cannot_use(inputs, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("\ufeffThe first\n\ntext.")
    (folder / "b.txt").write_text("")
    (folder / "c.pdf").write_text("some words")
    write_rows([{"body": "no words"}, {"text": "a row"}], folder / "d.csv.jsonl")
    (folder / "e.md").write_bytes(b"\xff\xfe\x00")
    with pytest.warns(UserWarning, match="4 of 6 documents are bad") as warned:
        found = inputs(str(folder))
    assert found == [
        (f"{folder}/a.txt", -100, -100, "The first\n\ntext."),
        (f"{folder}/d.csv.jsonl:2", -100, -100, "a row"),
    ]
    [told] = [str(one.message) for one in warned if "documents are bad" in str(one.message)]
    for name, reason in {
        "b.txt": "empty",
        "c.pdf": "its ending .pdf says neither",
        "d.csv.jsonl:1": "no article in a column article, document, text; it has body",
        "e.md": "not UTF-8 at byte 0",
    }.items():
        assert f"{folder}/{name} ({reason}" in told


def test_inputs_without_an_article_a_column_or_a_known_stance_are_refused(inputs, tmp_path):
    path = write_rows([{"body": "a b", "stance": "green"}], tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"t.csv:1 \(no article in a column .*; it has body, stan"):
        inputs(str(path))
    with pytest.raises(ValueError, match=r"t.csv has no column 'boby'.* data\.init_args\.key"):
        inputs(str(path), key="boby")
    with pytest.raises(ValueError, match=r"t.csv:1: the stance 'green' is none of left, center"):
        inputs(str(path), key="body")
    with pytest.raises(ValueError, match=r"no text in .*data\.init_args\.texts"):
        inputs([])
    with pytest.raises(ValueError, match=r"text 1 \(empty\)"):
        inputs([" "])
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist"):
        inputs(str(tmp_path / "none.txt"))
