"""Prompts from files: what they hold, and what is refused."""

import gzip
import json

import numpy as np
import pytest

from datamodules.text.prompts import Prompts, read_prompts
from datamodules.text.tokenizer import load_tokenizer

MARK = b"\xef\xbb\xbf"
FORMS = {
    "a.txt": MARK + b"one\r\n\r\ntwo\xe2\x80\xa8more\n",
    "a.jsonl": MARK + '{"prompt": "one"}\r\n\n{"prompt": "two\u2028more"}'.encode(),
    "a.json": json.dumps([{"prompt": "one"}, {"prompt": "two\u2028more"}]).encode(),
    "a.csv": MARK + '\ufeffprompt\none\n"two\u2028more"\n'.encode().removeprefix(MARK),
    "a.jsonl.gz": gzip.compress('{"prompt": "one"}\n{"prompt": "two\u2028more"}'.encode()),
}


@pytest.mark.parametrize("name", FORMS)
def test_prompts_of_any_file_are_the_same(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    assert read_prompts(str(tmp_path / name)) == ["one", "two\u2028more"]


def test_an_empty_prompt_is_one_and_numbers_are_texts(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": ""}\n{"prompt": 7}\n')
    assert read_prompts(str(tmp_path / "a.jsonl")) == ["", "7"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"prompt": null}', "null"),
        (b'{"prompt": "\\ud800"}', "surrogate"),
        (b'{"prompt": ' + b"[" * 50_000, "broken JSON"),
        (b'{"prompt": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
        (b'{"text": 1}', "no 'prompt' among text"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_broken_prompt_is_named_and_the_rate_decides(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"prompt": "one"}\n' + line + b"\n")
    with pytest.raises(ValueError, match=rf"1 of 2 documents are bad .*a\.jsonl:2 .*{reason}"):
        read_prompts(str(path))
    with pytest.warns(UserWarning, match=r"a\.jsonl:2"):
        assert read_prompts(str(path), 0.5) == ["one"]


def test_what_is_no_file_of_prompts_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"prompts '\[\"a red circle\"\]'"):
        read_prompts("a red circle")
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl does not exist"):
        read_prompts("none.jsonl")
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"a\.png holds no prompts: a file of them ends in"):
        read_prompts(str(tmp_path / "a.png"))
    with pytest.raises(ValueError, match="prompt 1: not UTF-8: half of a surrogate pair"):
        read_prompts(["a", "\udc80"])


def test_equal_prompts_are_told_apart_and_a_start_that_a_prompt_writes_stands_once(
    tokenizer_folder,
):
    vocabulary = load_tokenizer(str(tokenizer_folder))
    start = vocabulary.backend.convert_ids_to_tokens(vocabulary.start)
    prompts = ["Once", f"{start}Once", "Once", ""]
    ids = vocabulary.begun(prompts)
    assert ids[0] == ids[1] == ids[2] == [vocabulary.start, *vocabulary.encode(["Once"])[0]]
    assert ids[3] == [vocabulary.start]
    items = Prompts(prompts, ids, vocabulary.pad)
    batches = [items.batch(np.array(chosen), 2) for chosen in ([0, 1], [2, 3])]
    assert [batch["repeat_B"] for batch in batches] == [[0, 0], [1, 0]]
