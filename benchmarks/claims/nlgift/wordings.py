"""Answers in words: at least ten wordings a task, which a checker must all read."""

from collections.abc import Callable
from random import Random

from benchmarks.claims.nlgift.truth import Content
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


Wording = Callable[[Saying, Content], str]


def join(wanted: Content, between: str = " -> ", before: str = "") -> str:
    """The nodes of an answer as one text."""
    return between.join(before + node for node in wanted.nodes or ())


# Yes or no


def stated(saying: Saying, wanted: Content) -> str:
    """As a statement alone."""
    is_there = "There is a" if wanted.said == "yes" else "There is no"
    return f"{is_there} {THING[saying.problem.task]} {saying.between}."


YES_NO: dict[str, Wording] = {
    "plain": lambda _, wanted: f"The answer is {wanted.said}.",
    "bare": lambda _, wanted: f"{wanted.said}",
    "capitals": lambda _, wanted: f"Answer: {str(wanted.said).upper()}",
    "bold": lambda _, wanted: f"The answer is **{str(wanted.said).capitalize()}**.",
    "underscores": lambda _, wanted: f"__{str(wanted.said).capitalize()}__",
    "boxed": lambda _, wanted: rf"The answer is $\boxed{{\text{{{wanted.said}}}}}$.",
    "bracket": lambda _, wanted: f"The answer is [{wanted.said}].",
    "quoted": lambda _, wanted: f'So, the final answer is: "{wanted.said}".',
    "statement": stated,
    "both": lambda saying, wanted: (
        f"{str(wanted.said).capitalize()}, {lower(stated(saying, wanted))}"
    ),
    "question": lambda saying, wanted: f"{saying.question} {str(wanted.said).capitalize()}.",
    "whether": lambda saying, wanted: (
        f"We determine whether there is a {THING[saying.problem.task]} {saying.between}. "
        f"The answer is {wanted.said}."
    ),
    "short": lambda saying, wanted: f"{saying.rationale('short')} The answer is {wanted.said}.",
    "search": lambda saying, wanted: f"{saying.rationale('search')} The answer is {wanted.said}.",
}


def lower(text: str) -> str:
    """A sentence in the middle of another."""
    return text[0].lower() + text[1:]


# Values


def words_of(wanted: Content) -> str:
    """The value in words."""
    assert wanted.value is not None
    whole, _, behind = str(wanted.value).lstrip("-").partition(".")
    digits = " ".join(ONES[int(one)] for one in behind)
    return ("minus " if wanted.value < 0 else "") + (
        in_words(int(whole)) + (f" point {digits}" if digits else "")
    )


VALUES: dict[str, Wording] = {
    "plain": lambda saying, wanted: f"{saying.subject} is {wanted.value}.",
    "bare": lambda _, wanted: f"{wanted.value}",
    "bold": lambda saying, wanted: f"{saying.subject} is **{wanted.value}**.",
    "boxed": lambda saying, wanted: rf"{saying.subject} is $\boxed{{{wanted.value}}}$.",
    "boxed alone": lambda _, wanted: rf"\[ \boxed{{{wanted.value}}} \]",
    "equals": lambda saying, wanted: f"{saying.subject} = {wanted.value}",
    "colon": lambda _, wanted: f"Answer: {wanted.value}",
    "units": lambda saying, wanted: f"{saying.subject} equals {wanted.value} units.",
    "ends": lambda saying, wanted: (
        f"The maximum flow from node {saying.problem.names[saying.problem.asked[0]]} to node "
        f"{saying.problem.names[saying.problem.asked[1]]} is {wanted.value}."
    ),
    "question": lambda saying, wanted: f"{saying.question} {saying.subject} is {wanted.value}.",
    "words": lambda saying, wanted: f"{saying.subject} is {words_of(wanted)}.",
    "final": lambda _, wanted: f"So, the final answer is {wanted.value}",
    "short": lambda saying, wanted: (
        f"{saying.rationale('short')} {saying.subject} is {wanted.value}."
    ),
    "search": lambda saying, wanted: (
        f"{saying.rationale('search')} {saying.subject} is {wanted.value}."
    ),
}


# Sequences, with a length where there is one


def length(wanted: Content, text: str) -> str:
    """A text with the length, empty without one."""
    return "" if wanted.value is None else text.format(wanted.value)


def listed(wanted: Content) -> str:
    """The nodes as a list of prose."""
    *first, last = wanted.nodes or ("",)
    return f"{', '.join(first)}, and {last}" if first else last


def arrowed(saying: Saying, wanted: Content) -> str:
    """With any of the arrows."""
    arrow = saying.rng.choice(ARROWS)
    return (
        f"{saying.subject} is {join(wanted, f' {arrow} ')}.{length(wanted, ' Its length is {}.')}"
    )


def spoken(saying: Saying, wanted: Content) -> str:
    """Numbers in words, of nodes that are numbered as well."""
    nodes = [in_words(int(one)) if one.isdecimal() else one for one in wanted.nodes or ()]
    behind = "" if wanted.value is None else f" Its length is {words_of(wanted)}."
    return f"{saying.subject} is {' -> '.join(nodes)}.{behind}"


SEQUENCES: dict[str, Wording] = {
    "plain": lambda saying, wanted: (
        f"{saying.subject} is {join(wanted)}.{length(wanted, ' Its length is {}.')}"
    ),
    "bold": lambda saying, wanted: (
        f"**{saying.subject}** is **{join(wanted)}**{length(wanted, ' with a length of **{}**')}."
    ),
    "boxed": lambda saying, wanted: (
        rf"{saying.subject} is $\boxed{{{join(wanted, LATEX)}}}$."
        + ("" if wanted.value is None else rf" Its length is $\boxed{{{wanted.value}}}$.")
    ),
    "arrows": arrowed,
    "commas": lambda saying, wanted: (
        f"{saying.subject} is {join(wanted, ', ')}."
        f"{length(wanted, ' The length of the shortest path is {}.')}"
    ),
    "tight": lambda saying, wanted: (
        f"{saying.subject} is {join(wanted, ',')}{length(wanted, ' with a total weight of {}')}"
    ),
    "list": lambda saying, wanted: (
        f"{saying.subject}: [{join(wanted, ', ')}]{length(wanted, chr(10) + 'Length: {}')}"
    ),
    "nodes": lambda saying, wanted: (
        f"{saying.subject} is {join(wanted, ' -> ', 'node ')}{length(wanted, ', with length {}')}."
    ),
    "dashes": lambda saying, wanted: (
        f"{saying.subject} is {join(wanted, '-')} {length(wanted, '(length {})')}"
    ),
    "and": lambda saying, wanted: (
        f"{saying.subject} is {listed(wanted)}{length(wanted, '; its length is {}')}."
    ),
    "question": lambda saying, wanted: (
        f"{saying.question}\n{saying.subject} is {join(wanted)}."
        f"{length(wanted, ' Its length is {}.')}"
    ),
    "answer": lambda _, wanted: f"Answer: {join(wanted)}{length(wanted, ', total length {}')}",
    "words": spoken,
    "short": lambda saying, wanted: (
        f"{saying.rationale('short')} {saying.subject} is {join(wanted)}."
        f"{length(wanted, ' Its length is {}.')}"
    ),
    "search": lambda saying, wanted: (
        f"{saying.rationale('search')} {saying.subject} is {join(wanted)}."
        f"{length(wanted, ' Its length is {}.')}"
    ),
}
NOTHING: dict[str, Wording] = {
    "plain": lambda saying, _: NONE[saying.problem.task],
    "bold": lambda saying, _: f"**{NONE[saying.problem.task]}**",
    "question": lambda saying, _: f"{saying.question} {NONE[saying.problem.task]}",
    "lower": lambda saying, _: f"So, {lower(NONE[saying.problem.task])}",
    "search": lambda saying, _: f"{saying.rationale('search')} {NONE[saying.problem.task]}",
}


def wordings(wanted: Content) -> dict[str, Wording]:
    """The wordings of an answer."""
    if wanted.said is not None:
        return YES_NO
    if wanted.nodes is not None:
        return SEQUENCES
    return NOTHING if wanted.value is None else VALUES
