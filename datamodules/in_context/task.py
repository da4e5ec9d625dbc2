"""In-context classification of the rows of a table."""

from collections.abc import Iterator
from functools import cached_property
from random import Random
from typing import Literal, get_args

from typing_extensions import override

from datamodules.in_context.draw import Shown, asked, by_label, demonstrations
from datamodules.in_context.examples import Example, ExampleReader, called
from datamodules.questions.source import Question, QuestionSource
from datamodules.stream.checks import check_bounds, check_choice, check_shares

ShownLabels = Literal["gold", "random", "flipped", "meaningless"]
"""Labels of demonstrations: their own; any by chance, for each demonstration; that of the next
class; or a word for each class that means nothing, drawn for the question."""
MEANINGLESS = ("dax", "wug", "fep", "lup", "zib", "kiv", "mor", "toma")
"""Words that are no label of any task."""
CONTENT_FREE = ("N/A", "[MASK]", "")
"""Inputs that say nothing (Zhao et al., 2021, sec. 5)."""


class InContextTask(QuestionSource):
    """Rows of a table to be classified, each after demonstrations of all classes.

    The same questions are asked whatever `shown`, `labels` and `order` are, and more demonstrations
    contain the fewer. A question has the fields `prompt`; `content_free`, `content_free_2` and so
    on, the same demonstrations before an input that says nothing; and the columns of the template.
    Its choices are the label words, each after a space, always in the same order. The answer is
    what the demonstrations say of its class, but where they are `random` its own label.

    Args:
        path: Rows that are asked: Parquet, Arrow, CSV, TSV or JSON lines; a file, a folder or a
            glob.
        template: A row's text with columns in braces, such as "Review: {text}", a line break and
            "Sentiment:"; the label word follows after a space.
        label: The column of the class.
        verbalisers: The word of each class, such as `{negative: bad, positive: good}`.
        where: Required value by column of the rows that are asked, such as `split: test`.
        demonstrations_where: The same of the rows that are shown; None shows rows like those asked,
            but none that is asked.
        demonstrations_path: Another file of the rows that are shown.
        shown: Demonstrations of each class; 0 asks without any.
        num: Number of questions; all where None.
        balanced: Whether all classes are asked equally often.
        labels: Which labels the demonstrations give.
        fixed: Whether all questions have the same demonstrations; otherwise each has its own.
        seed: Which rows are asked.
        order: Which demonstrations are drawn, and their order.
        separator: Between demonstrations, and before the question.
        content_free: Inputs that say nothing.
        meaningless: Words for `meaningless` labels.
        max_bad_rate: Share of unusable rows above which reading stops.

    Raises:
        ValueError: The template is invalid or ends in a blank, two classes have the same word,
            there are fewer than two classes or too few meaningless words, or a number is out of
            bounds.
    """

    def __init__(
        self,
        path: str,
        template: str,
        label: str,
        verbalisers: dict[str, str],
        where: dict[str, str] | None = None,
        demonstrations_where: dict[str, str] | None = None,
        demonstrations_path: str | None = None,
        shown: int = 4,
        num: int | None = None,
        balanced: bool = True,
        labels: ShownLabels = "gold",
        fixed: bool = False,
        seed: int = 0,
        order: int = 0,
        separator: str = "\n\n",
        content_free: tuple[str, ...] = CONTENT_FREE,
        meaningless: tuple[str, ...] = MEANINGLESS,
        max_bad_rate: float = 0.01,
    ):
        check_bounds({"shown": shown, "num": 1 if num is None else num}, {"shown": 0, "num": 1})
        check_choice("labels", labels, get_args(ShownLabels))
        check_shares({"max_bad_rate": max_bad_rate}, ["max_bad_rate"])
        check_words(verbalisers, meaningless if labels == "meaningless" else ())
        self.reader = ExampleReader(template, label, [*verbalisers], max_bad_rate)
        self.path = path
        self.where = where or {}
        self.shown_path = demonstrations_path or path
        self.shown_where = self.where if demonstrations_where is None else demonstrations_where
        self.verbalisers = verbalisers
        self.shown = shown
        self.num = num
        self.balanced = balanced
        self.labels: ShownLabels = labels
        self.fixed = fixed
        self.seed = seed
        self.order = order
        self.separator = separator
        self.content_free = content_free
        self.meaningless = meaningless

    @property
    @override
    def name(self) -> str:
        rows = called(self.path, self.where)
        return f"{rows}:{self.labels}:{self.shown}:{self.num or 'all'}:{self.seed}:{self.order}"

    @override
    def questions(self) -> Iterator[Question]:
        """The questions, classes in turn where balanced.

        Raises:
            ValueError: A column is missing, a label has no verbaliser, or there are too few rows
                to ask or to show; says what is missing where.
        """
        for one in self.asked:
            yield self._question(one)

    @cached_property
    def asked(self) -> list[Example]:
        """The rows that are asked, in order."""
        examples = self.reader.read(self.path, self.where)
        try:
            return asked(examples, [*self.verbalisers], self.num, self.balanced, str(self.seed))
        except ValueError as error:
            raise ValueError(f"{called(self.path, self.where)}: {error}") from None

    @cached_property
    def pool(self) -> dict[str, list[Example]]:
        """The rows of each class that may be shown: no text is asked as well."""
        if self.shown == 0:
            return {label: [] for label in self.verbalisers}
        known = {one.text for one in self.asked}
        examples = self.reader.read(self.shown_path, self.shown_where)
        pool = by_label([one for one in examples if one.text not in known], [*self.verbalisers])
        for label, group in pool.items():
            if len(group) < self.shown:
                raise ValueError(
                    f"{called(self.shown_path, self.shown_where)}: shown is {self.shown}, but "
                    f"{len(group)} rows of label {label!r} are left to show."
                )
        return pool

    def _question(self, one: Example) -> Question:
        whose = f"{self.order}/{'' if self.fixed else one.place}"
        word_of = self._told(whose)
        shown = demonstrations(self.pool, self.shown, whose)
        before = [f"{each.example.text} {self._word(each, word_of)}" for each in shown]
        prompts = self._prompts(before, one)
        words = sorted(word_of.values(), key=[*self.verbalisers.values(), *self.meaningless].index)
        choices, right = [f" {word}" for word in words], word_of[one.label]
        name = f"{one.place}:{self.labels}:{self.shown}:{self.order}"
        fields = one.fields | prompts
        return Question(name, one.place, fields, [right], choices, words.index(right))

    def _prompts(self, before: list[str], one: Example) -> dict[str, str]:
        """The prompt of a question, and those that say nothing, by field."""
        asked = [one.text, *map(self.reader.about, self.content_free)]
        later = [f"content_free_{n}" for n in range(2, len(asked))]
        names = ["prompt", "content_free", *later][: len(asked)]
        prompts = [self.separator.join([*before, text]) for text in asked]
        return dict(zip(names, prompts, strict=True))

    def _told(self, whose: str) -> dict[str, str]:
        """The word that is right for each class."""
        labels, words = [*self.verbalisers], [*self.verbalisers.values()]
        if self.labels == "flipped":
            words = [*words[1:], words[0]]
        if self.labels == "meaningless":
            words = Random(f"words/{whose}").sample(self.meaningless, len(labels))
        return dict(zip(labels, words, strict=True))

    def _word(self, shown: Shown, word_of: dict[str, str]) -> str:
        """The word that a demonstration gives."""
        return word_of[shown.chance if self.labels == "random" else shown.example.label]


def check_words(verbalisers: dict[str, str], meaningless: tuple[str, ...]) -> None:
    """Refuse words that do not tell all classes apart.

    Args:
        verbalisers: The word of each class.
        meaningless: Words to draw others from; empty where none are drawn.

    Raises:
        ValueError: There are fewer than two classes, a word is empty, begins or ends in a blank or
            stands for two classes, or there are fewer meaningless words than classes.
    """
    if len(verbalisers) < 2:
        raise ValueError(f"verbalisers need two classes at least, got {[*verbalisers]}.")
    whose = dict[str, str]()
    for label, word in verbalisers.items():
        if not word or word != word.strip():
            raise ValueError(f"the verbaliser of {label!r} is {word!r}: a word without blanks.")
        if word in whose:
            raise ValueError(f"{whose[word]!r} and {label!r} have the same verbaliser {word!r}.")
        whose[word] = label
    num = len({*meaningless} - {*whose})
    if meaningless and (num < len(verbalisers) or num < len(meaningless)):
        raise ValueError(
            f"{len(verbalisers)} classes need as many different meaningless words that are no "
            f"verbalisers, got {', '.join(meaningless)}."
        )
