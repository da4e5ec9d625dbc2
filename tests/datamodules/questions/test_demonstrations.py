import json
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.questions.demonstrations import Demonstrations, FileDemonstrations

ROWS = [
    {"instruction": "Add.", "input": "1 2", "output": "3"},
    {"instruction": "Say hello.", "input": "", "output": " Hello! \n"},
    {"instruction": "Say nothing.", "input": None, "output": "{input}"},
]
ASKED = "{instruction}\n\n{input}"


@pytest.fixture(params=["pool.parquet", "pool.jsonl"])
def file(request, tmp_path):
    path = tmp_path / request.param
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_text("\n\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    return path


def test_both_formats_give_the_same_demonstrations(file):
    demonstrations = FileDemonstrations(str(file), ASKED, "{output}").demonstrations
    assert [(demonstration.prompt, demonstration.response) for demonstration in demonstrations] == [
        ("Add.\n\n1 2", "3"),
        ("Say hello.", "Hello!"),
        ("Say nothing.", "{input}"),  # a text with braces is not filled again
    ]


def test_a_demonstration_names_its_file_and_row(tmp_path):
    file = tmp_path / "data" / "pool.jsonl"
    file.parent.mkdir()
    file.write_text('{"prompt": "a", "response": "b"}\n\n{"prompt": "c", "response": "d"}\n')
    assert [
        demonstration.origin for demonstration in FileDemonstrations(str(file)).demonstrations
    ] == [
        "data/pool.jsonl:1",
        "data/pool.jsonl:3",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "broken JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"prompt": "a"}', "no 'response' among prompt"),
        (b'{"prompt": "a", "response": [1]}', "'response' holds no text but list"),
        (b'{"prompt": "a", "response": " "}', "empty response"),
        (b'{"prompt": null, "response": "b"}', "empty prompt"),
        (b'{"prompt": "\xff", "response": "b"}', "not UTF-8 at byte 12"),
    ],
)
def test_bad_rows_are_counted_named_and_skipped(tmp_path, line, reason):
    file = tmp_path / "pool.jsonl"
    good = b'{"prompt": "a", "response": "b"}\n'
    file.write_bytes(good + line + b"\n" + line + b"\n" + good)
    source = FileDemonstrations(str(file))
    with pytest.warns(UserWarning, match="2 of 4 documents are bad") as warned:
        assert len(source.demonstrations) == 2
    assert f"pool.jsonl:2 ({reason}); " in str(warned[0].message)
    assert f"pool.jsonl:3 ({reason}). They are skipped." in str(warned[0].message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pool.jsonl is empty"),
        ("\n", "pool.jsonl holds no document"),
        ("?\n", r"pool.jsonl holds no document\..*pool.jsonl:1 \(broken JSON\)"),
    ],
)
def test_a_file_without_a_demonstration_is_refused(tmp_path, text, message):
    file = tmp_path / "pool.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        FileDemonstrations(str(file)).demonstrations  # noqa: B018


def test_a_missing_column_of_parquet_is_named_with_those_that_exist(tmp_path):
    file = tmp_path / "pool.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    message = r"no column 'prompt'; it has instruction, input, output"
    with pytest.raises(ValueError, match=message):
        FileDemonstrations(str(file)).demonstrations  # noqa: B018


def test_a_missing_file_is_named_when_it_is_needed():
    source = FileDemonstrations("nowhere.jsonl")
    with pytest.raises(FileNotFoundError, match=r"nowhere.jsonl does not exist"):
        source.demonstrations  # noqa: B018


def test_an_unknown_format_and_a_template_without_a_column_are_refused():
    with pytest.raises(ValueError, match=r"pool.txt: its ending names no known format"):
        FileDemonstrations("pool.txt")
    with pytest.raises(ValueError, match=r"write it in braces: '\{text\}'"):
        FileDemonstrations("pool.jsonl", prompt="text")
    with pytest.raises(ValueError, match=r"template 'response': .*\{answer"):
        FileDemonstrations("pool.jsonl", response="{answer")


def test_a_question_is_made_as_the_prompts_are(file):
    source = FileDemonstrations(str(file), ASKED, "{output}")
    assert source.question(ROWS[0]) == source.demonstrations[0].prompt
    assert source.question({"instruction": " ", "input": ""}) == ""
    with pytest.raises(ValueError, match=r"the prompt '.*input}': no 'instruction' among prompt$"):
        source.question({"prompt": "Add."})


def test_a_good_file_warns_of_nothing(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(FileDemonstrations(str(file), ASKED, "{output}").demonstrations) == len(ROWS)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(st.dictionaries(st.sampled_from("abc"), TEXT.filter(str.strip), min_size=3))
def test_filling_a_question_is_joining_the_parts(row):
    source = Demonstrations([], "<{a}|{b}{c}>")
    assert source.question(row) == f"<{row['a']}|{row['b']}{row['c']}>"
