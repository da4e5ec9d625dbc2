from itertools import pairwise

import pytest

from datamodules.in_context.pool import DocumentPool
from datamodules.records.document import BadSample, Document
from datamodules.text.derived.passages import TextPassages
from datamodules.text.derived.subset import TextSubset
from datamodules.text.source import TextSource
from datamodules.text.tokenizer import load_tokenizer

PROSE = (
    "The moon was round, and the cat sat on the mat.\n\nA dog ran over the hill;  it did not stop. "
)
TEXTS = {
    "prose": PROSE * 5,
    "no blank": "abcdefghij" * 20,
    "of many bytes": "\U0001f600 \u4f60\u597d\u4e16\u754c" * 15,
    "blank ends": "\n\n " + PROSE + " \n",
}


class Texts(TextSource):
    """Documents of any texts, and one that is bad."""

    name = "texts"

    def __init__(self, texts):
        super().__init__(1.0)
        self.texts = texts

    def fingerprint(self):
        return repr(self.texts)

    def documents(self):
        yield BadSample("texts:0", "unreadable")
        yield from (Document(text, f"texts:{n}") for n, text in enumerate(self.texts, 1))


def cut(texts, folder, length=16, **more):
    return TextPassages(Texts(texts), str(folder), length, **more)


def passages(texts, folder, length=16, **more):
    made = cut(texts, folder, length, **more).documents()
    return [one for one in made if isinstance(one, Document)]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("length", [8, 16, 40])
def test_nothing_is_lost_but_white_space_and_every_passage_fits(tokenizer_folder, name, length):
    found = passages([TEXTS[name]], tokenizer_folder, length)
    assert "".join("".join(one.text for one in found).split()) == "".join(TEXTS[name].split())
    tokenizer = load_tokenizer(str(tokenizer_folder))
    sizes = [len(one.ids) for one in tokenizer.encode_documents(found)]
    assert max(sizes) <= length


def test_passages_are_as_long_as_whole_words_allow(tokenizer_folder):
    found = [one.text for one in passages([TEXTS["prose"]], tokenizer_folder)]
    tokenizer = load_tokenizer(str(tokenizer_folder))
    assert [word for one in found for word in one.split()] == TEXTS["prose"].split()
    for one, after in pairwise(found):
        longer = f"{one} {after.split()[0]}"
        assert len(tokenizer.encode([longer])[0]) > 14 - 1  # a token of the blank between them


def test_passages_are_known_by_their_document_and_their_number(tokenizer_folder):
    found = [*cut([PROSE * 2, "Short."], tokenizer_folder).documents()]
    assert found[0] == BadSample("texts:0", "unreadable")
    num = len(found) - 2
    assert num > 3
    names = [f"texts:1#{n}" for n in range(1, num + 1)]
    assert [one.origin for one in found[1:]] == [*names, "texts:2#1"]
    chosen = TextSubset(cut([PROSE * 2, "Short."], tokenizer_folder), ["texts:1#3"])
    assert [one for one in chosen.documents() if isinstance(one, Document)] == [found[3]]


def test_every_third_document_is_cut(tokenizer_folder):
    texts = ["Short.", PROSE, PROSE * 2, "Short, too."]  # behind the bad one
    whole = [*cut(texts, tokenizer_folder).documents()]
    kept = [one for one in whole if one.origin.partition("#")[0] in ("texts:0", "texts:3")]
    assert [*cut(texts, tokenizer_folder, every=3).documents()] == kept
    assert len(kept) > 3


def test_a_pool_takes_passages_where_it_refuses_their_documents(tokenizer_folder, tmp_path):
    tokenizer = load_tokenizer(str(tokenizer_folder))
    with pytest.raises(ValueError, match="or split the documents of the source"):
        DocumentPool([Texts([PROSE])], tokenizer, tmp_path, 16, 0.5)
    pool = DocumentPool([cut([PROSE], tokenizer_folder)], tokenizer, tmp_path, 16, 0.5)
    assert pool.ids[:2] == ["texts:1#1", "texts:1#2"]
    assert pool.lengths.max() <= 16


def test_the_fingerprint_follows_what_decides_the_passages(tokenizer_folder):
    same = [cut([PROSE], tokenizer_folder), cut([PROSE], tokenizer_folder, weight=2.0)]
    others = [
        cut([PROSE * 2], tokenizer_folder),
        cut([PROSE], tokenizer_folder, 17),
        cut([PROSE], tokenizer_folder, every=2),
        cut([PROSE], "assets/books_bpe"),
    ]
    assert len({one.fingerprint() for one in same}) == 1
    assert len({one.fingerprint() for one in [same[0], *others]}) == 5


def test_numbers_that_are_too_small_are_refused(tokenizer_folder):
    with pytest.raises(ValueError, match="length must be at least 8, got 7"):
        cut([PROSE], tokenizer_folder, 7)
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        cut([PROSE], tokenizer_folder, every=0)
