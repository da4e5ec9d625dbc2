from collections import Counter

import pytest

from datamodules.questions.datamodule import QuestionData
from datamodules.synthetic.patterns.questions import PatternFacts, PatternQuestions
from datamodules.synthetic.patterns.words import (
    CLASS_LABEL,
    CLASS_OF,
    CLASSES,
    OTHER_LABELS,
    TOPIC_OF,
    TOPICS,
    WORD_LABEL,
    WORDS,
)

SHOWN = (0, 1, 2, 4, 8, 16)


def asked(**options):
    return [*PatternQuestions(96, seed=1, **options).questions()]


def shown(question):
    """Word, class and label of each demonstration."""
    words = question.fields.get("context", "").split()
    return [(*words[i : i + 3],) for i in range(0, len(words), 4)]


@pytest.mark.parametrize("num", SHOWN)
@pytest.mark.parametrize("labels", ["gold", "random", "flipped", "meaningless"])
def test_three_classes_have_as_many_demonstrations_as_asked_for(num, labels):
    for one in asked(shown=num, labels=labels):
        word, of_class = one.fields["question"].split()
        classes = Counter(told for _, told, _ in shown(one))
        assert sorted(classes.values()) == ([num] * 3 if num else [])
        assert not num or of_class in classes
        assert CLASS_OF[word] == of_class
        assert all(CLASS_OF[other] == told for other, told, _ in shown(one))
        assert word not in [other for other, _, _ in shown(one)]
        assert {TOPIC_OF[other] for other, _, _ in shown(one)} <= {TOPIC_OF[word]}
        context = one.fields.get("context")
        prompt = one.fields["prompt"]
        assert prompt == " ".join(filter(None, [context, one.fields["question"]]))


def test_the_answer_is_that_of_the_demonstrations_and_each_kind_of_label_is_what_it_says():
    kinds = ("gold", "random", "flipped", "meaningless")
    for gold, random, flipped, other in zip(*(asked(labels=k) for k in kinds), strict=True):
        word, of_class = gold.fields["question"].split()
        own = CLASS_LABEL[TOPIC_OF[word]]
        told = {one: {label for _, c, label in shown(gold) if c == one} for one in own}
        assert all(labels <= {own[one]} for one, labels in told.items())
        assert gold.references == random.references == [own[of_class]]
        assert {label for _, _, label in shown(random)} <= {one.strip() for one in random.choices}
        for question in (flipped, other):
            [label] = {label for _, c, label in shown(question) if c == of_class}
            assert question.references == [label]
            assert label != own[of_class]
            assert len({(c, label) for _, c, label in shown(question)}) == 3
        assert {*flipped.choices} == {*gold.choices}
        assert {one.strip() for one in other.choices} < {*OTHER_LABELS[TOPIC_OF[word]]}
    assert any(
        one.fields != two.fields for one, two in zip(asked(labels="random"), asked(), strict=True)
    )


def test_choices_are_three_and_the_right_one_stands_anywhere():
    found = asked()
    assert all(one.choices[one.answer] == f" {one.references[0]}" for one in found)
    assert all(len({*one.choices}) == 3 for one in found)
    assert all(20 < n < 45 for n in Counter(one.answer for one in found).values())


def test_classes_and_topics_are_asked_equally_often():
    found = [one.fields["question"].split() for one in asked()]
    assert Counter(of_class for _, of_class in found) == dict.fromkeys(CLASSES, 24)
    assert Counter(TOPIC_OF[word] for word, _ in found) == dict.fromkeys(TOPICS["held_out"], 48)
    seen = {TOPIC_OF[one.fields["question"].split()[0]] for one in asked(topics="seen")}
    assert seen == {*TOPICS["seen"]}


def test_the_same_is_asked_with_any_demonstrations_and_more_contain_the_fewer():
    few, many = asked(shown=2), asked(shown=4)
    for one, two in zip(few, many, strict=True):
        assert one.fields["question"] == two.fields["question"]
        assert two.fields["context"].startswith(one.fields["context"])
    other = asked(shown=2, labels="flipped")
    assert [one.fields["question"] for one in other] == [one.fields["question"] for one in few]
    unlike = PatternQuestions(96, seed=2).questions()
    assert [one.fields for one in unlike] != [one.fields for one in few]


def test_two_demonstrations_a_class_are_shorter_than_a_document():
    assert {len(one.fields["prompt"].split()) for one in asked(shown=2)} == {26}


@pytest.mark.parametrize("of", ["word", "class"])
def test_facts_are_asked_of_every_word_once_without_a_context(of):
    found = [*PatternFacts(of=of).questions()]
    assert len(found) == 96
    for one in found:
        assert one.fields["prompt"] == one.fields["question"]
        word, of_class = one.fields["prompt"].split()
        right = WORD_LABEL[word] if of == "word" else CLASS_LABEL[TOPIC_OF[word]][of_class]
        assert one.references == [right]
        assert one.choices[one.answer] == f" {right}"
        assert len({*one.choices}) == 4
    held_out = PatternFacts("held_out", of).questions()
    words = [one.fields["prompt"].split()[0] for one in held_out]
    assert words == [word for topic in TOPICS["held_out"] for word in WORDS[topic]]


def test_they_are_questions_as_any_others():
    data = QuestionData(test=[PatternQuestions(5, shown=0), PatternFacts()], batch_size=200)
    data.setup("test")
    [batch] = data.test_dataloader()
    assert len({*batch["id"]}) == 5 + 96
    assert batch["id"][0] == "patterns:held_out:meaningless:0:5:0:1"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PatternQuestions(0), "num must be at least 1, got 0"),
        (lambda: PatternQuestions(1, shown=-1), "shown must be at least 0, got -1"),
        (lambda: PatternQuestions(1, labels="none"), "labels must be one of gold, random"),
        (lambda: PatternQuestions(1, topics="new"), "topics must be one of seen"),
        (lambda: PatternFacts("new"), "topics must be one of seen"),
        (lambda: PatternFacts(of="mark"), "of must be one of word, class"),
    ],
)
def test_what_cannot_be_asked_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
