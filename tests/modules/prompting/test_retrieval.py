import math
import re
import warnings
from collections import Counter

import numpy as np
import pytest

from modules.prompting.retrieval import BM25, Dense, Random

KEYS = [
    "the cat sat on the mat",
    "a dog ran over the hill and the cat saw it run",
    "rain fell on the old house",
    "Cat cat CAT!",
    "nobody was at home",
    "the cat sat on the mat",
]
QUERIES = ["Where did the cat sit?", "the old house", "cat cat dog", "?"]


# BM25


def plain_bm25(query: str, key: str, k1: float, b: float) -> float:
    """The formula, one word at a time."""
    split = [re.findall(r"\w+", text.lower()) for text in KEYS]
    mean = sum(map(len, split)) / len(split)
    words = re.findall(r"\w+", key.lower())
    total = 0.0
    for word in re.findall(r"\w+", query.lower()):
        holding = sum(word in text for text in split)
        idf = math.log(1 + (len(KEYS) - holding + 0.5) / (holding + 0.5))
        tf = Counter(words)[word]
        total += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(words) / mean)) if tf else 0
    return total


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.0, 0.5), (2.0, 0.0), (0.9, 1.0)])
def test_bm25_is_its_formula(k1, b):
    index_QK, score_QK = BM25(KEYS, k1, b).rank(QUERIES, len(KEYS))
    for query, order, scores in zip(QUERIES, index_QK, score_QK, strict=True):
        expected = [plain_bm25(query, KEYS[number], k1, b) for number in order]
        np.testing.assert_allclose(scores, expected, rtol=1e-12)
        assert sorted(order) == list(range(len(KEYS)))
        assert (np.diff(scores) <= 0).all()


def test_bm25_scores_many_queries_as_it_scores_one():
    retriever, queries = BM25(KEYS), QUERIES * 40
    together = retriever.rank(queries, 3)
    for number, query in enumerate(QUERIES):
        alone = retriever.rank([query], 3)
        for row_K in together.index_QK[number::4]:
            np.testing.assert_array_equal(row_K, alone.index_QK[0])


def test_bm25_reads_words_of_any_script_and_of_one_letter():
    retriever = BM25(["a b", "Straße", "дом кот", "x"])
    assert [row[0] for row in retriever.rank(["x", "ДОМ", "STRAßE"], 1).index_QK] == [3, 2, 1]


def test_a_query_without_a_common_word_is_told_and_counted():
    retriever = BM25(KEYS)
    with pytest.warns(
        UserWarning, match=r"2 of 3 queries share no word .* 6 keys.*\(2 of 3 so far"
    ):
        ranking = retriever.rank(["?", "the cat", "zebra"], 2)
    assert ranking.index_QK[[0, 2]].tolist() == [[0, 1], [0, 1]]
    assert (ranking.score_QK[[0, 2]] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        retriever.rank(["cat"], 1)
    assert (retriever.num_strange, retriever.num_asked) == (2, 4)


CHINESE = ["挪威的首都是奥斯陆", "今天天气很好", "猫坐在垫子上"]


def test_scripts_without_blanks_are_searched_by_their_characters():
    queries = ["猫在哪里", "挪威首都", "天气"]
    assert BM25(CHINESE).rank(queries, 1).index_QK[:, 0].tolist() == [2, 0, 1]
    mixed = BM25(["日本の首都は東京", "GPU 2台", "แมวนั่ง", "Straße_1"])
    assert mixed.rank(["東京", "gpu", "แมว", "STRASSE straße_1"], 1).index_QK[:, 0].tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert mixed.words("GPU東京 2台") == ["gpu", "東", "京", "2", "台"]


def test_what_a_word_is_may_be_said():
    assert BM25(["a-b", "a b"], words=r"[\w-]+").rank(["a-b"], 1).index_QK.tolist() == [[0]]
    with pytest.raises(ValueError, match=r"words is not a regular expression: '\['"):
        BM25(KEYS, words="[")


def test_keys_without_any_word_are_refused():
    with pytest.raises(ValueError, match="none of 2 keys has a word"):
        BM25(["?", "!!"]).rank(["cat"], 1)


@pytest.mark.parametrize(("name", "value"), [("k1", -1.0), ("b", 1.5)])
def test_bm25_refuses_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} must .* got {value}"):
        BM25(KEYS, **{name: value})


# All retrievers


class Letters:
    """Counts letters: an encoder of no weights."""

    def encode(self, texts):
        rows = [[text.lower().count(letter) for letter in "acdehiot"] for text in texts]
        return np.array(rows, np.float32).reshape(-1, 8)

    def fingerprint(self):
        return "letters"


RETRIEVERS = [BM25, Random, lambda keys: Dense(keys, Letters())]


@pytest.mark.parametrize("build", RETRIEVERS, ids=["bm25", "random", "dense"])
def test_a_shorter_ranking_is_the_start_of_a_longer_one(build):
    retriever = build(KEYS)
    whole = retriever.rank(QUERIES, len(KEYS))
    for k in range(1, len(KEYS)):
        ranking = retriever.rank(QUERIES, k)
        np.testing.assert_array_equal(ranking.index_QK, whole.index_QK[:, :k])
        np.testing.assert_array_equal(ranking.score_QK, whole.score_QK[:, :k])


@pytest.mark.parametrize("build", RETRIEVERS, ids=["bm25", "random", "dense"])
def test_more_than_there_are_is_all_and_no_query_is_no_row(build):
    assert build(KEYS).rank(QUERIES, 99).index_QK.shape == (4, len(KEYS))
    assert build(KEYS).rank([], 3).index_QK.shape == (0, 3)


@pytest.mark.parametrize("build", RETRIEVERS, ids=["bm25", "random", "dense"])
def test_none_wanted_and_nothing_to_search_are_refused(build):
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        build(KEYS).rank(QUERIES, 0)
    with pytest.raises(ValueError, match="no key"):
        build([])


def test_random_keys_depend_on_query_and_seed_alone():
    retriever = Random(KEYS)
    forward, backward = retriever.rank(QUERIES, 3), retriever.rank(QUERIES[::-1], 3)
    np.testing.assert_array_equal(forward.index_QK, backward.index_QK[::-1])
    assert (Random(KEYS, seed=1).rank(QUERIES, 6).index_QK != retriever.rank(QUERIES, 6)[0]).any()


def test_random_keys_are_drawn_alike_often():
    index_QK = Random(KEYS).rank([str(number) for number in range(3000)], 2).index_QK
    assert (index_QK[:, 0] != index_QK[:, 1]).all()
    share_N = np.bincount(index_QK.ravel(), minlength=6) / index_QK.size
    np.testing.assert_allclose(share_N, 1 / 6, atol=0.02)


def test_the_keys_are_encoded_once_and_mapped_into_memory(tmp_path):
    class Counted(Letters):
        num = 0

        def encode(self, texts):
            Counted.num += len(texts)
            return super().encode(texts)

    first = Dense(KEYS, Counted(), str(tmp_path / "new")).rank(QUERIES, 3)
    second = Dense(KEYS, Counted(), str(tmp_path / "new"))
    np.testing.assert_array_equal(second.rank(QUERIES, 3).index_QK, first.index_QK)
    assert Counted.num == len(KEYS) + 2 * len(QUERIES)
    assert isinstance(second.index.key_ND, np.memmap)
    np.testing.assert_array_equal(first.index_QK, Dense(KEYS, Letters()).rank(QUERIES, 3).index_QK)


def test_another_pool_order_or_encoder_has_another_file(tmp_path):
    class Other(Letters):
        def fingerprint(self):
            return "other"

    for keys, encoder in ((KEYS, Letters()), (KEYS[::-1], Letters()), (KEYS, Other())):
        Dense(keys, encoder, str(tmp_path)).rank(QUERIES, 1)
    assert len([*tmp_path.iterdir()]) == 3


def test_dense_retrieval_is_the_product_of_embeddings():
    ranking = Dense(KEYS, Letters()).rank(QUERIES, 3)
    product_QN = Letters().encode(QUERIES) @ Letters().encode(KEYS).T
    for order, product_N in zip(ranking.index_QK, product_QN, strict=True):
        assert order.tolist() == sorted(range(len(KEYS)), key=lambda n: (-product_N[n], n))[:3]
