from collections import Counter, defaultdict
from itertools import chain, pairwise

import pytest

from datamodules.synthetic.patterns.documents import document
from datamodules.synthetic.patterns.reader import SORT_OF, read
from datamodules.synthetic.patterns.units import DECOYS, PLANTED
from datamodules.synthetic.patterns.words import (
    CLASS_LABEL,
    CLASS_OF,
    CLASSES,
    LABELS,
    MARKS,
    NEXT,
    OTHER_LABELS,
    TOPIC_OF,
    TOPICS,
    WORD_LABEL,
    WORD_LABELS,
    WORDS,
)

KINDS = ("ordinary", *PLANTED, *DECOYS)
MAPPING = (
    "scale amber blick so pepper ivory wug then crate amber blick so melon ivory wug then "
    "cloth scarlet zib yet crate amber blick so spice scarlet zib yet cloth scarlet zib yet"
)


def columns(text):
    """The words of each place in a unit."""
    words = text.split()
    return [words[place::4] for place in range(4)]


def labels_by(keys, labels):
    """The labels that each key has."""
    found = defaultdict(set)
    for key, label in zip(keys, labels, strict=True):
        found[key].add(label)
    return found


def test_the_reader_is_exact_on_two_thousand_documents():
    for index in range(2000):
        kind = KINDS[index % 7]
        topics = ("seen", "held_out", "common", "rare")[index % 4]
        text = document(11, index, kind, topics, num_units=(8, 16)[index % 2])
        found = read(text)
        assert found.kind == kind
        assert " ".join(map(str, found.units)) == ("" if kind == "hard" else text)
        assert kind == "hard" or found.topic in TOPICS[topics]


@pytest.mark.parametrize("num_units", [8, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_have_equally_many_words_of_every_sort(kind, num_units):
    for index in range(100):
        counts = Counter(
            SORT_OF[word] for word in document(3, index, kind, "common", num_units).split()
        )
        assert counts == dict.fromkeys(("word", "class", "label", "mark"), num_units)


def test_facts_about_words_hold_in_all_kinds_but_the_hard_one():
    for index in range(700):
        kind = KINDS[index % 7]
        words, classes, _, marks = columns(document(5, index, kind, "common"))
        is_true = classes == [CLASS_OF.get(one) for one in words]
        assert (is_true and marks == [MARKS[one] for one in classes]) == (kind != "hard")


def test_labels_follow_from_classes_in_mappings_and_from_nothing_in_shuffled_ones():
    for index in range(200):
        _, classes, labels, _ = columns(document(2, index, "mapping"))
        found = labels_by(classes, labels)
        assert len(found) == len(set(labels)) == 3
        assert all(len(one) == 1 for one in found.values())
        assert sorted(Counter(classes).values()) == [2, 3, 3]
        words, classes, labels, _ = columns(document(2, index, "shuffled"))
        assert sorted(Counter(labels).values()) == sorted(Counter(classes).values()) == [2, 3, 3]
        for keys in (words, classes):
            assert any(len(one) > 1 for one in labels_by(keys, labels).values())


def test_recalled_words_keep_their_labels_and_copies_come_unit_by_unit():
    for index in range(200):
        words, classes, labels, _ = columns(document(4, index, "recall"))
        assert sorted(words[:4]) == sorted(words[4:])
        assert words[:4] != words[4:]
        assert all(len(one) == 1 for one in labels_by(words, labels).values())
        assert any(len(one) > 1 for one in labels_by(classes, labels).values())
        units = document(4, index, "copy", num_units=12).split()
        assert units[:16] == units[16:32] == units[32:]


def test_ordinary_and_easy_documents_are_chains_of_facts():
    for index in range(200):
        words, classes, labels, _ = columns(document(6, index, "ordinary", "common"))
        assert all(after in NEXT[before] for before, after in pairwise(words))
        topic = TOPIC_OF[words[0]]
        of_class = [CLASS_LABEL[topic][one] for one in classes]
        of_word = [WORD_LABEL[one] for one in words]
        told = zip(labels, of_class, of_word, strict=True)
        assert sorted(label == first for label, first, _ in told) == [False] * 4 + [True] * 4
        assert all(one in pair for one, *pair in zip(labels, of_class, of_word, strict=True))
        words, _, labels, _ = columns(document(6, index, "easy"))
        assert words[1:] == [NEXT[one][0] for one in words[:-1]]
        assert labels == [WORD_LABEL[one] for one in words]


def test_a_mapping_changes_from_document_to_document():
    told = [columns(document(0, index, "mapping"))[1:3] for index in range(500)]
    maps = {frozenset(zip(*one, strict=True)) for one in told}
    assert len(maps) > 450  # of 4 * 12 * 11 * 10 = 5,280


def test_topics_share_no_word_and_documents_of_all_kinds_keep_to_theirs():
    parts = ("seen", "held_out", "rare")
    words = {part: {word for topic in TOPICS[part] for word in WORDS[topic]} for part in parts}
    assert [len(words[part]) for part in parts] == [64, 32, 48]
    assert len({*chain(*words.values())}) == 144
    assert {*TOPICS["common"]} == {*TOPICS["seen"], *TOPICS["held_out"]}
    for index in range(600):
        part = parts[index % 3]
        used = {*document(7, index, KINDS[index % 7], part).split()}
        assert used & words[part]
        assert not any(used & words[other] for other in parts if other != part)


def test_facts_of_a_topic_tell_its_words_and_classes_apart():
    for topic, words in WORDS.items():
        assert Counter(CLASS_OF[one] for one in words) == dict.fromkeys(CLASSES, 4)
        pairs = {(CLASS_OF[one], WORD_LABEL[one]) for one in words}
        assert len(pairs) == 16
        told = [*CLASS_LABEL[topic].values(), *WORD_LABELS[topic], *OTHER_LABELS[topic]]
        assert sorted(told) == sorted(LABELS)
    assert len({(*one.values(),) for one in CLASS_LABEL.values()}) == len(WORDS)
    assert len(SORT_OF) == 144 + 4 + 12 + 4  # no word has two meanings


def test_both_chains_pass_all_words_of_a_topic():
    for words in WORDS.values():
        for step in (0, 1):
            at, passed = words[0], set()
            while at not in passed:
                passed.add(at)
                at = NEXT[at][step]
            assert passed == {*words}


def test_a_document_is_a_function_of_its_arguments():
    assert document(11, 3, "recall") == document(11, 3, "recall", "seen", 8)
    made = {
        document(seed, index, kind, topics, num)
        for seed in (0, 1)
        for index in (0, 1)
        for kind in KINDS
        if kind != "easy"  # of eight units there are 64, one from each word on
        for topics in ("seen", "held_out")
        for num in (8, 12)
    }
    assert len(made) == 2 * 2 * 2 * 2 * 6


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spice scarlet zib", "spice scarlet wug", "no known kind"),
        ("scale", "violin", "no known kind"),
        ("scale", "whale", "not a word of the documents: 'whale'"),
        ("scale amber blick so ", "", "equally many"),
        ("scale amber", "scale so", "equally many"),
    ],
)
def test_a_damaged_document_is_none(old, new, message):
    assert read(MAPPING).kind == "mapping"
    assert read(MAPPING.replace("scale amber", "amber scale")).kind == "hard"
    with pytest.raises(ValueError, match=message):
        read(MAPPING.replace(old, new))
