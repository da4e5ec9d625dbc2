from collections import Counter

import pytest
from transformers import AutoTokenizer

from datamodules.synthetic.patterns.documents import document
from datamodules.synthetic.patterns.reader import SORT_OF, read
from datamodules.synthetic.patterns.source import KindShares, PatternText
from datamodules.synthetic.patterns.words import TOPICS
from datamodules.text.datamodule import TextData
from datamodules.text.derived.subset import TextSubset
from tests.fixtures.text_data import ready

POOL = KindShares(mapping=0.03, recall=0.01, copy=0.01, shuffled=0.05, easy=0.05, hard=0.05)
COUNTS = {"mapping": 60, "recall": 20, "copy": 20, "shuffled": 100, "easy": 100, "hard": 100}


def test_the_shares_are_exact_and_every_document_is_of_the_kind_that_its_id_tells():
    source = PatternText(2000, seed=3, shares=POOL)
    documents = [*source.documents()]
    assert Counter(source.kinds.values()) == {**COUNTS, "ordinary": 1600}
    assert [*source.kinds] == [one.origin for one in documents]
    assert documents[16].origin == "patterns:2000:3:17"
    assert [read(one.text).kind for one in documents] == [*source.kinds.values()]


def test_kinds_are_mixed_by_chance_and_other_seeds_mix_otherwise():
    first, other = (PatternText(2000, seed=seed, shares=POOL) for seed in (0, 1))
    planted = [n for n, kind in enumerate(first.kinds.values()) if kind == "mapping"]
    assert sum(planted) / 60 == pytest.approx(1000, abs=250)
    assert [*first.kinds.values()] != [*other.kinds.values()]


@pytest.mark.parametrize(
    ("num", "shares", "counts"),
    [
        (10, {"mapping": 0.3}, {"mapping": 3, "ordinary": 7}),
        (10, {"mapping": 0.0}, {"ordinary": 10}),
        (3, {"mapping": 0.5, "hard": 0.5}, {"mapping": 1, "hard": 2}),
        (1, {"mapping": 0.1}, {"ordinary": 1}),
        (5, {"mapping": 0.4, "recall": 0.2, "copy": 0.4}, {"mapping": 2, "recall": 1, "copy": 2}),
    ],
)
def test_shares_are_rounded_and_what_is_left_is_ordinary(num, shares, counts):
    found = KindShares(**shares).counts(num)
    assert {kind: n for kind, n in found.items() if n} == counts


def test_a_document_is_the_same_wherever_it_is_made():
    source = PatternText(40, seed=5, shares=POOL, topics="common")
    texts = [one.text for one in source.documents()]
    topics = ["common" if kind == "ordinary" else "seen" for kind in source.kinds.values()]
    kinds = zip(source.kinds.values(), topics, strict=True)
    assert texts == [document(5, i, *one) for i, one in enumerate(kinds)]
    assert len({*texts}) == 40
    topics = {read(text).topic for text in texts} - {""}
    assert topics & {*TOPICS["held_out"]}


def test_the_fingerprint_distinguishes_the_parameters():
    options = [
        {},
        {"seed": 1},
        {"shares": POOL},
        {"topics": "common"},
        {"structured_topics": "common"},
        {"num_units": 12},
    ]
    assert len({PatternText(9, **one).fingerprint() for one in options}) == len(options)
    assert PatternText(9, weight=2.0).fingerprint() == PatternText(9).fingerprint()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained("assets/patterns_words")


def test_the_tokenizer_knows_every_word_as_one_token_and_gives_documents_back(tokenizer):
    assert len(tokenizer) == 4 + len(SORT_OF)
    assert {*SORT_OF} <= {*tokenizer.get_vocab()}
    for one in PatternText(200, seed=2, shares=POOL, topics="common").documents():
        ids = tokenizer(one.text)["input_ids"]
        assert len(ids) == 32
        assert tokenizer.decode(ids) == one.text


def test_a_row_is_a_document_and_a_chosen_set_trains_as_any_source(tmp_path):
    pool = PatternText(200, seed=4, shares=POOL)
    planted = [origin for origin, kind in pool.kinds.items() if kind == "mapping"]
    chosen = TextSubset(PatternText(200, seed=4, shares=POOL), planted)
    sources = {"train": [pool, chosen]}
    data = ready(
        TextData("assets/patterns_words", **sources, row_length=34, cache=str(tmp_path)), "fit"
    )
    whole, part = data.mixture_report().values()
    assert (whole.rows, whole.fill) == (200, 1.0)
    assert (part.rows, part.documents, part.tokens) == (6, 6, 6 * 34)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PatternText(0), "num must be at least 1, got 0"),
        (
            lambda: PatternText(9, topics="new"),
            "topics must be one of seen, held_out, common, rare",
        ),
        (lambda: PatternText(9, num_units=4), "num_units must be 8 or more"),
        (lambda: PatternText(9, num_units=10), "a multiple of 4, got 10"),
        (lambda: KindShares(mapping=-0.1), "mapping must be within"),
        (lambda: KindShares(mapping=0.6, easy=0.5), "sum to at most 1, got 1.1"),
    ],
)
def test_what_cannot_be_made_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
