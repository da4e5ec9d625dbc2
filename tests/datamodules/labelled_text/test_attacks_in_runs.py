"""Attacks on texts, and texts to classify."""

import io
import json
import unicodedata
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.labelled_text.attacks import (
    LOOKALIKES,
    SENTENCE,
    Case,
    Homoglyph,
    SentenceShuffle,
    Truncation,
    Whitespace,
)
from datamodules.labelled_text.inputs import name_of, read_inputs
from datamodules.records.document import BadSample, Document
from datamodules.text.derived.plain import plain
from tests.fixtures.machine_texts import write

TEXT = 'The cat sat. "Is it there?" she asked. It was not! So she went home (and slept).'


@given(st.text(max_size=200), st.integers(0, 3))
def test_an_attack_is_the_same_each_time_and_changes_what_it_says_only(text, seed):
    spaces = Whitespace(seed, share=0.5)(text)
    assert spaces == Whitespace(seed, share=0.5)(text)
    assert spaces.replace(" ", "") == text.replace(" ", "")
    back = {other: letter for letter, other in LOOKALIKES.items()}
    twins = Homoglyph(seed, share=0.5)(text)
    assert [back.get(c, c) for c in twins] == [back.get(c, c) for c in text]
    assert len(Case(seed, share=0.5)(text)) >= len(text)
    cut = Truncation(seed, words=3)(text)
    assert text.startswith(cut)
    assert cut.split() == text.split()[:3]


def test_lookalikes_are_cyrillic_letters_for_latin_ones():
    assert all(unicodedata.name(c).startswith("LATIN") for c in LOOKALIKES)
    assert all(unicodedata.name(c).startswith("CYRILLIC") for c in LOOKALIKES.values())
    assert len(LOOKALIKES) == 19


def test_a_share_of_one_changes_every_place():
    assert Whitespace(share=1.0)("a b c") == "a  b  c"
    assert Case(share=1.0)("The old cat") == "the Old Cat"
    assert not set(Homoglyph(share=1.0)(TEXT)) & set(LOOKALIKES)


def test_shuffled_sentences_are_the_same_sentences():
    shuffled = SentenceShuffle(seed=1)(TEXT)
    assert shuffled != TEXT
    assert sorted(" ".join(SENTENCE.split(shuffled)).split()) == sorted(
        " ".join(SENTENCE.split(TEXT)).split()
    )
    assert sorted(shuffled.replace(" ", "")) == sorted(TEXT.replace(" ", ""))


def test_names_tell_attacks_apart():
    attacks = [Whitespace(), Homoglyph(), Case(), SentenceShuffle(), Truncation(words=25)]
    names = [attack.name for attack in attacks]
    assert names == ["whitespace", "homoglyph", "case", "sentenceshuffle", "first_25_words"]
    assert [attack.humans_too for attack in attacks] == [False] * 4 + [True]


def test_bad_attacks_are_refused():
    with pytest.raises(ValueError, match=r"within \(0, 1\], got 0"):
        Case(share=0)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Truncation(words=0)


@given(st.text(max_size=80))
def test_plain_text_stays_plain(text):
    assert plain(plain(text)) == plain(text)


# Texts to classify


def said(inputs):
    return [item.text if isinstance(item, Document) else item.reason for item in inputs]


def test_given_texts_come_back_with_what_cannot_be_judged():
    inputs = read_inputs(["two words", "", "word", "\x00\x01\x02 x y", "fine text"])
    assert said(inputs)[::4] == ["two words", "fine text"]
    assert said(inputs)[1:4] == ["empty", "a single word", "binary or UTF-16: NUL at character 0"]
    assert [item.origin for item in inputs] == [f"text {i}" for i in range(1, 6)]


def test_json_lines_are_texts_by_their_key(tmp_path):
    path = tmp_path / "texts.jsonl"
    lines = [json.dumps({"text": "one text"}), "", "{broken", json.dumps({"body": "x y"}), "[1]"]
    path.write_text("\n".join(lines))
    inputs = read_inputs(str(path))
    reasons = ["broken JSON", "no key 'text'; it has body", "not a JSON object"]
    assert said(inputs) == ["one text", *reasons]
    assert [item.origin for item in inputs] == [f"{path}:{i}" for i in (1, 3, 4, 5)]
    assert said(read_inputs(str(path), key="body"))[2] == "x y"


def test_a_folder_gives_a_text_a_file(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffthe first\n\ntext")
    (tmp_path / "b.md").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "c.txt").write_text("")
    inputs = read_inputs(str(tmp_path))
    assert said(inputs) == ["the first\n\ntext", "not UTF-8 at byte 0", "empty"]
    assert isinstance(inputs[1], BadSample)


@pytest.mark.parametrize(
    ("data", "texts"),
    [(b"a plain\ntext", ["a plain\ntext"]), (b'{"text": "a b"}\n{"text": "c d"}', ["a b", "c d"])],
)
def test_the_standard_input_is_a_text_or_json_lines(monkeypatch, data, texts):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert said(read_inputs("-")) == texts


@pytest.mark.parametrize(
    "name",
    ["t.csv", "t.tsv", "t.csv.gz", "t.jsonl", "t.jsonl.zst", "t.json", "t.parquet", "t.JSONL"],
)
def test_every_row_of_a_table_is_a_text_of_its_own_with_its_name(tmp_path, name):
    rows = [{"id": f"row {i}", "body": f'some {i} words, with "quotes"'} for i in range(50)]
    rows[7]["body"] = ""
    path = write_table(rows, tmp_path / name)
    inputs = read_inputs(str(path), key="body")
    assert said(inputs)[:8] == [*(row["body"] for row in rows[:7]), "empty"]
    assert len(inputs) == 50
    assert [name_of(item) for item in inputs] == [row["id"] for row in rows]
    assert inputs[3].origin == f"{path}:4"


def write_table(rows, path):
    """A table in the format of its file ending, compressed where the ending says so."""
    import gzip

    import zstandard

    plain = path.with_name(path.name.removesuffix(".gz").removesuffix(".zst"))
    if plain.suffix == ".json":
        plain.write_text(json.dumps(rows))
    elif plain.suffix.lower() == ".jsonl":
        plain.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        write(rows, plain, delimiter="\t" if plain.suffix == ".tsv" else ",")
    if path != plain:
        squeeze = gzip.compress if path.suffix == ".gz" else zstandard.compress
        path.write_bytes(squeeze(plain.read_bytes()))
        plain.unlink()
    return path


def test_a_table_without_the_column_and_a_file_of_another_kind_are_refused_by_name(tmp_path):
    table = write([{"body": "some words"}], tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"t\.csv has no column 'text'; it has body.* data\.init_"):
        read_inputs(str(table))
    for name in ("t.pdf", "t.docx", "t"):
        (tmp_path / name).write_text("some words that look like a text")
        with pytest.raises(ValueError, match=rf"{name} cannot be read: .* neither .* a table"):
            read_inputs(str(tmp_path / name))
    inputs = read_inputs(str(tmp_path), key="body")
    assert said(inputs)[1] == "some words"
    assert [reason.startswith(("its ending", "that it has no")) for reason in said(inputs)] == [
        True,
        False,
        True,
        True,
    ]


def test_without_texts_the_key_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"data\.init_args\.texts"):
        read_inputs([])
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist"):
        read_inputs(str(tmp_path / "none.txt"))
