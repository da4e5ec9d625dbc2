import json
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompting.demonstrations import Demonstration, FilePool, Pool, filled

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
    found = FilePool(str(file), ASKED, "{output}").demonstrations
    assert [(one.prompt, one.response) for one in found] == [
        ("Add.\n\n1 2", "3"),
        ("Say hello.", "Hello!"),
        ("Say nothing.", "{input}"),  # a text with braces is not filled again
    ]


def test_a_demonstration_says_where_it_stands(tmp_path):
    file = tmp_path / "pool.jsonl"
    file.write_text('{"prompt": "a", "response": "b"}\n\n{"prompt": "c", "response": "d"}\n')
    assert [one.origin for one in FilePool(str(file)).demonstrations] == [
        "pool.jsonl:1",
        "pool.jsonl:3",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "no object in JSON"),
        ("[1]", "no object in JSON"),
        ('{"prompt": "a"}', "no key 'response', only 'prompt'"),
        ('{"prompt": "a", "response": 1}', "'response' is not a text but int"),
        ('{"prompt": "a", "response": " "}', "empty response"),
        ('{"prompt": null, "response": "b"}', "empty prompt"),
        (b'{"prompt": "\xff", "response": "b"}', "no object in JSON"),
    ],
)
def test_bad_rows_are_counted_named_and_skipped(tmp_path, line, reason):
    file = tmp_path / "pool.jsonl"
    good = b'{"prompt": "a", "response": "b"}\n'
    file.write_bytes(good + (line if isinstance(line, bytes) else line.encode()) + b"\n" + good)
    pool = FilePool(str(file))
    with pytest.warns(UserWarning, match=r"1 of 3 rows of .*pool.jsonl .* pool.jsonl:2: "):
        assert len(pool.demonstrations) == 2
    assert [(one.origin, one.reason) for one in pool.rejects] == [("pool.jsonl:2", reason)]


def test_a_message_names_three_bad_rows_and_the_pool_all(tmp_path):
    file = tmp_path / "pool.jsonl"
    file.write_text('{"prompt": "a", "response": "b"}\n' + "?\n" * 5)
    pool = FilePool(str(file))
    with pytest.warns(UserWarning, match="5 of 6 rows") as told:
        assert len(pool.rejects) == 5
    assert str(told[0].message).count("no object") == 3


@pytest.mark.parametrize("text", ["", "?\n"])
def test_a_file_without_a_demonstration_is_refused(tmp_path, text):
    file = tmp_path / "pool.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"rows of .*pool.jsonl are not demonstrations"):
        FilePool(str(file)).prompts  # noqa: B018


def test_a_missing_column_of_parquet_is_named_with_those_that_are_there(tmp_path):
    file = tmp_path / "pool.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    with pytest.raises(ValueError, match=r"no column 'prompt', only instruction, input, output"):
        FilePool(str(file)).prompts  # noqa: B018


def test_a_file_that_is_not_there_is_missed_when_it_is_needed():
    pool = FilePool("nowhere.jsonl")
    with pytest.raises(FileNotFoundError, match=r"nowhere.jsonl does not exist"):
        pool.prompts  # noqa: B018


def test_another_suffix_and_a_template_without_a_column_are_refused():
    with pytest.raises(ValueError, match=r"pool.csv must end in .parquet or .jsonl"):
        FilePool("pool.csv")
    with pytest.raises(ValueError, match=r"write it in braces: '\{text\}'"):
        FilePool("pool.jsonl", prompt="text")


def test_a_question_is_made_as_the_prompts_of_the_pool_are(file):
    pool = FilePool(str(file), ASKED, "{output}")
    assert pool.question(ROWS[0]) == pool.prompts[0]
    assert pool.same(pool.question(ROWS[1])) == [1]
    with pytest.raises(ValueError, match="no key 'instruction', only 'prompt'"):
        pool.question({"prompt": "Add."})
    with pytest.raises(ValueError, match="the question is empty"):
        pool.question({"instruction": " ", "input": ""})


def test_the_same_question_is_found_whatever_its_case_and_spaces():
    pool = Pool([Demonstration(text, "x") for text in ("Say  it.", "no", "say it.\n")])
    assert pool.same("SAY IT.") == [0, 2]
    assert pool.same("Say that.") == []


def test_a_good_file_warns_of_nothing(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert FilePool(str(file), ASKED, "{output}").rejects == []


@given(st.dictionaries(st.sampled_from("abc"), st.text(), min_size=3))
def test_filling_is_joining_the_parts(row):
    assert filled("<{a}|{b}{c}>", row) == f"<{row['a']}|{row['b']}{row['c']}>"
