"""Answers in words: at least ten wordings a task, which a checker must all read."""

from collections.abc import Callable
from random import Random

from benchmarks.claims.nlgift.truth import Told
from datamodules.graphs.problem import Problem
from datamodules.graphs.task import find_task

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
ARROWS = ("→", "=>", "-->", "->", "⇒", "➔", "➜", "⟶", r"\rightarrow", r"\to", r"\longrightarrow")
LATEX = r" \to "
SUBJECT = {
    "shortest_path": "The shortest path",
    "topological_sort": "One possible order",
    "hamilton_path": "The path",
    "max_flow": "The maximum flow",
}
NONE = {"shortest_path": "There is no path.", "hamilton_path": "There is no such path."}
THING = {"connectivity": "path", "cycle": "cycle"}


def in_words(number: int) -> str:
    """A whole number below a million in words."""
    if number >= 1000:
        rest = number % 1000
        return f"{in_words(number // 1000)} thousand" + (f" {in_words(rest)}" if rest else "")
    if number >= 100:
        rest = number % 100
        return f"{ONES[number // 100]} hundred" + (f" and {in_words(rest)}" if rest else "")
    if number < 20:
        return ONES[number]
    return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")


class Saying:
    """Puts answers to one problem into words.

    Args:
        problem: The problem.
        rng: Of arrows and rationales.
    """

    def __init__(self, problem: Problem, rng: Random):
        self.problem, self.rng = problem, rng
        self.task = find_task(problem.task)
        self.subject = SUBJECT.get(problem.task, "The answer")
        form = "incident" if "incident" in self.task.wordings else next(iter(self.task.wordings))
        self.question = self.task.wordings[form].question.format(
            **dict(zip("st", (problem.names[node] for node in problem.asked), strict=False))
        )

    @property
    def between(self) -> str:
        """The asked nodes, as sentences name them."""
        if self.problem.task == "cycle":
            return "in this graph"
        s, t = (self.problem.names[node] for node in self.problem.asked)
        return f"between node {s} and node {t}"

    def rationale(self, kind: str) -> str:
        """The steps that the task writes before an answer."""
        return self.task.rationale(self.problem, kind, self.rng)  # type: ignore[arg-type]


Wording = Callable[[Saying, Told], str]


def join(told: Told, between: str = " -> ", before: str = "") -> str:
    """The nodes of an answer as one text."""
    return between.join(before + node for node in told.nodes or ())


# Yes or no


def stated(saying: Saying, told: Told) -> str:
    """As a statement alone."""
    is_there = "There is a" if told.said == "yes" else "There is no"
    return f"{is_there} {THING[saying.problem.task]} {saying.between}."


YES_NO: dict[str, Wording] = {
    "plain": lambda _, told: f"The answer is {told.said}.",
    "bare": lambda _, told: f"{told.said}",
    "capitals": lambda _, told: f"Answer: {str(told.said).upper()}",
    "bold": lambda _, told: f"The answer is **{str(told.said).capitalize()}**.",
    "underscores": lambda _, told: f"__{str(told.said).capitalize()}__",
    "boxed": lambda _, told: rf"The answer is $\boxed{{\text{{{told.said}}}}}$.",
    "bracket": lambda _, told: f"The answer is [{told.said}].",
    "quoted": lambda _, told: f'So, the final answer is: "{told.said}".',
    "statement": stated,
    "both": lambda saying, told: f"{str(told.said).capitalize()}, {lower(stated(saying, told))}",
    "question": lambda saying, told: f"{saying.question} {str(told.said).capitalize()}.",
    "whether": lambda saying, told: (
        f"We determine whether there is a {THING[saying.problem.task]} {saying.between}. "
        f"The answer is {told.said}."
    ),
    "short": lambda saying, told: f"{saying.rationale('short')} The answer is {told.said}.",
    "search": lambda saying, told: f"{saying.rationale('search')} The answer is {told.said}.",
}


def lower(text: str) -> str:
    """A sentence in the middle of another."""
    return text[0].lower() + text[1:]


# Values


def words_of(told: Told) -> str:
    """The value in words."""
    assert told.value is not None
    whole, _, behind = str(told.value).lstrip("-").partition(".")
    digits = " ".join(ONES[int(one)] for one in behind)
    return ("minus " if told.value < 0 else "") + (
        in_words(int(whole)) + (f" point {digits}" if digits else "")
    )


VALUES: dict[str, Wording] = {
    "plain": lambda saying, told: f"{saying.subject} is {told.value}.",
    "bare": lambda _, told: f"{told.value}",
    "bold": lambda saying, told: f"{saying.subject} is **{told.value}**.",
    "boxed": lambda saying, told: rf"{saying.subject} is $\boxed{{{told.value}}}$.",
    "boxed alone": lambda _, told: rf"\[ \boxed{{{told.value}}} \]",
    "equals": lambda saying, told: f"{saying.subject} = {told.value}",
    "colon": lambda _, told: f"Answer: {told.value}",
    "units": lambda saying, told: f"{saying.subject} equals {told.value} units.",
    "ends": lambda saying, told: (
        f"The maximum flow from node {saying.problem.names[saying.problem.asked[0]]} to node "
        f"{saying.problem.names[saying.problem.asked[1]]} is {told.value}."
    ),
    "question": lambda saying, told: f"{saying.question} {saying.subject} is {told.value}.",
    "words": lambda saying, told: f"{saying.subject} is {words_of(told)}.",
    "final": lambda _, told: f"So, the final answer is {told.value}",
    "short": lambda saying, told: f"{saying.rationale('short')} {saying.subject} is {told.value}.",
    "search": lambda saying, told: (
        f"{saying.rationale('search')} {saying.subject} is {told.value}."
    ),
}


# Sequences, with a length where there is one


def length(told: Told, text: str) -> str:
    """A text with the length, empty without one."""
    return "" if told.value is None else text.format(told.value)


def listed(told: Told) -> str:
    """The nodes as a list of prose."""
    *first, last = told.nodes or ("",)
    return f"{', '.join(first)}, and {last}" if first else last


def arrowed(saying: Saying, told: Told) -> str:
    """With any of the arrows."""
    arrow = saying.rng.choice(ARROWS)
    return f"{saying.subject} is {join(told, f' {arrow} ')}.{length(told, ' Its length is {}.')}"


def spoken(saying: Saying, told: Told) -> str:
    """Numbers in words, of nodes that are numbered as well."""
    nodes = [in_words(int(one)) if one.isdecimal() else one for one in told.nodes or ()]
    behind = "" if told.value is None else f" Its length is {words_of(told)}."
    return f"{saying.subject} is {' -> '.join(nodes)}.{behind}"


SEQUENCES: dict[str, Wording] = {
    "plain": lambda saying, told: (
        f"{saying.subject} is {join(told)}.{length(told, ' Its length is {}.')}"
    ),
    "bold": lambda saying, told: (
        f"**{saying.subject}** is **{join(told)}**{length(told, ' with a length of **{}**')}."
    ),
    "boxed": lambda saying, told: (
        rf"{saying.subject} is $\boxed{{{join(told, LATEX)}}}$."
        + ("" if told.value is None else rf" Its length is $\boxed{{{told.value}}}$.")
    ),
    "arrows": arrowed,
    "commas": lambda saying, told: (
        f"{saying.subject} is {join(told, ', ')}."
        f"{length(told, ' The length of the shortest path is {}.')}"
    ),
    "tight": lambda saying, told: (
        f"{saying.subject} is {join(told, ',')}{length(told, ' with a total weight of {}')}"
    ),
    "list": lambda saying, told: (
        f"{saying.subject}: [{join(told, ', ')}]{length(told, chr(10) + 'Length: {}')}"
    ),
    "nodes": lambda saying, told: (
        f"{saying.subject} is {join(told, ' -> ', 'node ')}{length(told, ', with length {}')}."
    ),
    "dashes": lambda saying, told: (
        f"{saying.subject} is {join(told, '-')} {length(told, '(length {})')}"
    ),
    "and": lambda saying, told: (
        f"{saying.subject} is {listed(told)}{length(told, '; its length is {}')}."
    ),
    "question": lambda saying, told: (
        f"{saying.question}\n{saying.subject} is {join(told)}.{length(told, ' Its length is {}.')}"
    ),
    "answer": lambda _, told: f"Answer: {join(told)}{length(told, ', total length {}')}",
    "words": spoken,
    "short": lambda saying, told: (
        f"{saying.rationale('short')} {saying.subject} is {join(told)}."
        f"{length(told, ' Its length is {}.')}"
    ),
    "search": lambda saying, told: (
        f"{saying.rationale('search')} {saying.subject} is {join(told)}."
        f"{length(told, ' Its length is {}.')}"
    ),
}
NOTHING: dict[str, Wording] = {
    "plain": lambda saying, _: NONE[saying.problem.task],
    "bold": lambda saying, _: f"**{NONE[saying.problem.task]}**",
    "question": lambda saying, _: f"{saying.question} {NONE[saying.problem.task]}",
    "lower": lambda saying, _: f"So, {lower(NONE[saying.problem.task])}",
    "search": lambda saying, _: f"{saying.rationale('search')} {NONE[saying.problem.task]}",
}


def wordings(told: Told) -> dict[str, Wording]:
    """The wordings of an answer."""
    if told.said is not None:
        return YES_NO
    if told.nodes is not None:
        return SEQUENCES
    return NOTHING if told.value is None else VALUES
