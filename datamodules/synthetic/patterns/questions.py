"""Questions about the label of a word: after demonstrations, and from facts alone."""

from collections.abc import Iterator
from random import Random
from typing import Literal, get_args

from typing_extensions import override

from datamodules.questions.source import Question, QuestionSource
from datamodules.stream.checks import check_bounds, check_choice
from datamodules.synthetic.patterns.units import PatternUnit
from datamodules.synthetic.patterns.words import (
    CLASS_LABEL,
    CLASS_OF,
    CLASSES,
    OTHER_LABELS,
    TOPICS,
    WORD_LABEL,
    WORD_LABELS,
    WORDS,
    Part,
)

Labels = Literal["gold", "random", "flipped", "meaningless"]
"""Labels of demonstrations: those of the classes; any of these three by chance, for each
demonstration; those of other classes; or others, drawn for the question, that no fact gives."""


class PatternQuestions(QuestionSource):
    """The label of a word, asked after demonstrations of three classes.

    The word stands in none of them. Classes and topics are asked equally often, and the same
    questions are asked whatever `shown` and `labels` are; more demonstrations contain the fewer.
    A question has the fields `question`, `prompt` and, after demonstrations, `context`.

    Only demonstrations tell `meaningless` labels. The answer is that of the demonstrations, but
    where these are `random` the label that the class has in fact.

    Args:
        num: Number of questions.
        seed: Seed of the questions.
        shown: Demonstrations of each class; with 2, a prompt is shorter than a document of eight
            units.
        labels: Which labels the demonstrations give.
        topics: Topics that are asked about; structured documents are never about those held out.

    Raises:
        ValueError: A number is out of bounds, or an option is unknown.
    """

    def __init__(
        self,
        num: int,
        seed: int = 0,
        shown: int = 2,
        labels: Labels = "meaningless",
        topics: Part = "held_out",
    ):
        check_bounds({"num": num, "shown": shown}, {"num": 1, "shown": 0})
        check_choice("labels", labels, get_args(Labels))
        check_choice("topics", topics, get_args(Part))
        self.num = num
        self.seed = seed
        self.shown = shown
        self.labels: Labels = labels
        self.topics: Part = topics

    @property
    @override
    def name(self) -> str:
        return f"patterns:{self.topics}:{self.labels}:{self.shown}:{self.num}:{self.seed}"

    @override
    def questions(self) -> Iterator[Question]:
        for index in range(self.num):
            yield self._question(index, f"{self.name}:{index + 1}")

    def _question(self, index: int, name: str) -> Question:
        topics = TOPICS[self.topics]
        asked_class = CLASSES[index % len(CLASSES)]
        topic = topics[index // len(CLASSES) % len(topics)]
        rng = Random(f"question/{self.topics}/{self.seed}/{index}")
        asked = rng.choice([word for word in WORDS[topic] if CLASS_OF[word] == asked_class])
        others = rng.sample([one for one in CLASSES if one != asked_class], 2)
        classes = rng.sample([asked_class, *others], 3)
        label_of = told_labels(rng, topic, classes, self.labels)
        shown = demonstrations(rng, asked, label_of, self.shown, self.labels == "random")
        question = PatternUnit(asked, label_of[asked_class]).question
        fields = {"question": question, "prompt": " ".join([*map(str, shown), question])}
        fields |= {"context": " ".join(map(str, shown))} if shown else {}
        return asked_for(name, fields, [*label_of.values()], label_of[asked_class])


class PatternFacts(QuestionSource):
    """The label of each word, asked without demonstrations: what a model has learned by heart.

    It needs no context, and training that makes a model look for one should not harm it. In
    ordinary documents half of the labels are those of words, half those of classes.

    Args:
        topics: Topics that are asked about.
        of: Whether the label is that of the `word`, among those of the words of its topic, or that
            of its `class`, a fact that is met four times as often.

    Raises:
        ValueError: An option is unknown.
    """

    def __init__(self, topics: Part = "common", of: Literal["word", "class"] = "word"):
        check_choice("topics", topics, get_args(Part))
        check_choice("of", of, ("word", "class"))
        self.topics: Part = topics
        self.of = of

    @property
    @override
    def name(self) -> str:
        return f"facts:{self.topics}:{self.of}"

    @override
    def questions(self) -> Iterator[Question]:
        words = [(topic, word) for topic in TOPICS[self.topics] for word in WORDS[topic]]
        for index, (topic, word) in enumerate(words, 1):
            of_class = CLASS_LABEL[topic]
            is_word = self.of == "word"
            label = WORD_LABEL[word] if is_word else of_class[CLASS_OF[word]]
            labels = WORD_LABELS[topic] if is_word else [*of_class.values()]
            text = PatternUnit(word, label).question
            fields = {"question": text, "prompt": text}
            yield asked_for(f"{self.name}:{index}", fields, labels, label)


def told_labels(rng: Random, topic: str, classes: list[str], labels: Labels) -> dict[str, str]:
    """The label of each class that is the answer."""
    drawn = rng.sample(OTHER_LABELS[topic], len(classes))
    if labels == "meaningless":
        return dict(zip(classes, drawn, strict=True))
    own = [CLASS_LABEL[topic][one] for one in classes]
    told = [*own[1:], own[0]] if labels == "flipped" else own
    return dict(zip(classes, told, strict=True))


def demonstrations(
    rng: Random, asked: str, label_of: dict[str, str], num: int, is_random: bool
) -> list[PatternUnit]:
    """As many units of each class, round by round, about other words than the one asked for."""
    words = [word for word in WORDS[PatternUnit(asked, "").topic] if word != asked]
    units = []
    for _ in range(num):
        for one in rng.sample([*label_of], len(label_of)):
            word = rng.choice([word for word in words if CLASS_OF[word] == one])
            drawn = rng.choice([*label_of.values()])
            units.append(PatternUnit(word, drawn if is_random else label_of[one]))
    return units


def asked_for(name: str, fields: dict[str, str], labels: list[str], answer: str) -> Question:
    """A question with labels as choices."""
    choices = [f" {label}" for label in labels]
    return Question(name, name, fields, [answer], choices, labels.index(answer))
