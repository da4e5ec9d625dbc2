import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from datamodules.records.document import BadSample, Document
from datamodules.synthetic.stories.source import StoryText, story
from datamodules.text.files import PlainText
from datamodules.text.token_cache import origin, tokenised
from datamodules.text.token_file import (
    TokenFile,
    TokenFileError,
    cached_token_file,
    open_token_file,
    write_token_file,
)
from datamodules.text.tokenizer import load_tokenizer

DOCUMENTS = [([1, 2, 3], 10), ([4], 2), ([5, 6], 7)]


def write(folder: Path, vocab_size: int = 100) -> TokenFile:
    return write_token_file(folder, iter(DOCUMENTS), vocab_size, lambda: {"source": "test"})


def test_a_token_file_gives_back_what_was_written(tmp_path):
    file = write(tmp_path / "f")
    assert file.tokens.tolist() == [1, 2, 3, 4, 5, 6]
    assert file.lengths.tolist() == [3, 1, 2]
    assert file.num_bytes.tolist() == [10, 2, 7]
    assert file.meta["source"] == "test"
    assert file.meta["tokens"] == 6


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65535, "uint16"), (65536, "uint32")])
def test_ids_take_two_bytes_where_they_fit(tmp_path, vocab_size, dtype):
    assert write(tmp_path / "f", vocab_size).tokens.dtype == dtype


def test_a_failed_writing_leaves_nothing_behind(tmp_path):
    def documents():
        yield [1], 1
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_token_file(tmp_path / "f", documents(), 10, dict)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_named(tmp_path):
    write(tmp_path / "f")
    with (tmp_path / "f" / "tokens.bin").open("r+b") as file:
        file.truncate(8)
    with pytest.raises(
        TokenFileError, match=r"tokens\.bin has 8 bytes, but its index speaks of 12"
    ):
        open_token_file(tmp_path / "f")


@pytest.mark.parametrize("part", ["tokens.bin", "offsets.npy", "num_bytes.npy", "meta.json"])
@pytest.mark.parametrize("harm", ["truncate", "unlink"])
def test_a_harmed_file_is_made_again(tmp_path, part, harm):
    write(tmp_path / "f")
    if harm == "unlink":
        (tmp_path / "f" / part).unlink()
    else:
        (tmp_path / "f" / part).write_bytes((tmp_path / "f" / part).read_bytes()[:-4])
    with pytest.warns(UserWarning, match="made again"):
        file = cached_token_file(tmp_path / "f", write)
    assert file.tokens.tolist() == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("part", ["tokens.bin", "offsets.npy", "num_bytes.npy", "meta.json"])
def test_a_flipped_bit_anywhere_is_found_and_the_file_is_made_again(tmp_path, part):
    write(tmp_path / "f")
    data = bytearray((tmp_path / "f" / part).read_bytes())
    data[-3] ^= 1
    (tmp_path / "f" / part).write_bytes(data)
    with pytest.warns(UserWarning, match=r"f[ /].* It is made again"):
        file = cached_token_file(tmp_path / "f", write)
    assert file.tokens.tolist() == [1, 2, 3, 4, 5, 6]


def test_the_cache_follows_the_content_even_if_size_and_time_stay(tmp_path, tokenizer_folder):
    text, cache = tmp_path / "a.txt", tmp_path / "cache"
    tokenizer = load_tokenizer(tokenizer_folder)
    token_lists = []
    for word in ("lion", "bear"):
        text.write_text(word)
        os.utime(text, ns=(10**18, 10**18))
        token_lists.append(tokenised(PlainText(str(text)), tokenizer, cache, 0.0).tokens.tolist())
    assert token_lists[0] != token_lists[1]


def test_one_document_that_the_tokenizer_cannot_take_costs_only_itself(tokenizer_folder):
    tokenizer = load_tokenizer(tokenizer_folder)
    texts = ["one", "bad \ud83d half", "two"]
    documents = [Document(text, f"a:{n}") for n, text in enumerate(texts)]
    documents.insert(1, BadSample("b:1", "null"))
    encoded = list(tokenizer.encode_documents(documents))
    assert [isinstance(document, BadSample) for document in encoded] == [False, True, True, False]
    assert encoded[2].origin == "a:1"
    assert encoded[3] == ([tokenizer.start, *tokenizer.encode(["two"])[0], tokenizer.eos], 3, None)


def test_a_second_writer_keeps_the_first_ones_file(tmp_path):
    first = write(tmp_path / "f")
    before = (tmp_path / "f" / "tokens.bin").stat().st_ino
    assert first.tokens.tolist() == write(tmp_path / "f").tokens.tolist()
    assert (tmp_path / "f" / "tokens.bin").stat().st_ino == before


def test_a_whole_file_is_not_made_again(tmp_path):
    write(tmp_path / "f")

    def refuse(folder: Path) -> TokenFile:
        raise AssertionError(folder)

    assert len(cached_token_file(tmp_path / "f", refuse).lengths) == 3


def test_a_file_travels_to_another_process_without_its_tokens(tmp_path):
    file = write_token_file(tmp_path / "f", [([7] * 10**5, 1)], 100, dict)
    assert file.tokens.sum() == 7 * 10**5
    message = pickle.dumps(file)
    assert len(message) < 10**4
    assert pickle.loads(message).tokens.sum() == 7 * 10**5


def test_every_document_becomes_start_tokens_eos(tmp_path, tokenizer_folder):
    tokenizer = load_tokenizer(tokenizer_folder)
    file = tokenised(StoryText(20), tokenizer, tmp_path, 0.0)
    for i in range(20):
        ids = file.tokens[file.offsets[i] : file.offsets[i + 1]].tolist()
        assert (ids[0], ids[-1]) == (tokenizer.start, tokenizer.eos)
        assert tokenizer.backend.decode(ids[1:-1]) == story(0, i)
        assert file.num_bytes[i] == len(story(0, i).encode())


def test_the_same_text_is_tokenised_once(tmp_path, tokenizer_folder):
    tokenizer = load_tokenizer(tokenizer_folder)
    for source in (StoryText(5), StoryText(5, weight=2.0), StoryText(6)):
        tokenised(source, tokenizer, tmp_path, 0.0)
    assert len(list(tmp_path.iterdir())) == 2


def test_bad_documents_are_listed_in_the_metadata(tmp_path, tokenizer_folder):
    text, cache = tmp_path / "a.txt", tmp_path / "cache"
    text.write_bytes(b"one\n" * 99 + b"\xff\n")
    source, tokenizer = PlainText(str(text), "\n"), load_tokenizer(tokenizer_folder)
    with pytest.warns(UserWarning, match="1 of 100"):
        file = tokenised(source, tokenizer, cache, 0.02)
    census = json.loads((file.folder / "meta.json").read_text())["census"]
    assert (census["good"], census["bad"], census["blank"]) == (99, 1, 0)
    assert census["examples"] == ["a.txt:100 (not UTF-8 at byte 0)"]


def test_too_many_bad_documents_stop_also_a_cached_source(tmp_path, tokenizer_folder):
    text, cache = tmp_path / "a.txt", tmp_path / "cache"
    text.write_bytes(b"one\n" * 9 + b"\xff\n")
    source, tokenizer = PlainText(str(text), "\n"), load_tokenizer(tokenizer_folder)
    with pytest.raises(ValueError, match="1 of 10 documents are bad"):
        tokenised(source, tokenizer, cache, 0.01)
    assert list(cache.iterdir()) == []
    with pytest.warns(UserWarning, match="skipped"):
        tokenised(source, tokenizer, cache, 0.1)
    with pytest.raises(ValueError, match="1 of 10 documents are bad"):
        tokenised(source, tokenizer, cache, 0.01)


def test_a_document_is_traced_to_its_origin(tmp_path):
    text = tmp_path / "a.txt"
    text.write_bytes(b"one\n\xff\ntwo\nthree\n")
    assert origin(PlainText(str(text), "\n"), 1) == "a.txt:3"


def test_a_missing_tokenizer_folder_is_named(monkeypatch):
    monkeypatch.delenv("TRAINER_MODELS", raising=False)
    with pytest.raises(
        FileNotFoundError, match=r"models/none does not exist.*TRAINER_MODELS is not set"
    ):
        load_tokenizer("models/none")


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(ValueError, match="no tokenizer could be loaded"):
        load_tokenizer(str(tmp_path))


def test_a_tokenizer_without_marks_is_refused(tmp_path, tokenizer_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.bos_token = tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path} has neither a bos nor an eos token"):
        load_tokenizer(str(tmp_path))


def test_a_tokenizer_without_bos_starts_with_eos(tmp_path, tokenizer_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.bos_token = tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.start == loaded.eos == loaded.pad == tokenizer.eos_token_id


def test_ids_above_the_vocabulary_are_refused(tmp_path):
    with pytest.raises(OverflowError):
        write_token_file(tmp_path / "f", [(np.array([70000]).tolist(), 1)], 100, dict)
