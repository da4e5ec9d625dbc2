"""Synthetic facts to memorise, and contexts that agree with or contradict them.

Other contexts are irrelevant to the question, or about unknown lands.

"What is the river of Zubaki?" is answered "Telomi", from memory, until a context says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

Kind = Literal["none", "irrelevant", "agreeing", "unheard", "contradicting"]
"""Kind of a context."""
RELATIONS = ("capital", "river", "king", "hero", "dish", "bird")
WORDS = ("The", " The", "What", " What", " is", " the", " of", ".", "?")
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
SYLLABLES = tuple(c + v for c in CONSONANTS for v in VOWELS)
NUM_SYLLABLES = 3
NUM_SENTENCES = 3
"""Sentences of a context."""


class Fact(NamedTuple):
    """A relation of a land to a name.

    Attributes:
        relation: One of `RELATIONS`.
        land: Name of a land.
        name: The name in this relation to it.
    """

    relation: str
    land: str
    name: str

    @property
    def statement(self) -> str:
        """The fact as a sentence."""
        return f"The {self.relation} of {self.land} is {self.name}."

    @property
    def question(self) -> str:
        """The question for the name."""
        return f"What is the {self.relation} of {self.land}?"


class FactQuestion(NamedTuple):
    """A question with or without a context.

    Attributes:
        kind: Of the context.
        context: Sentences; empty without a context.
        fact: The fact in question, as memorised.
        answer: The right answer: by the context if it has one, else the memorised one.
    """

    kind: Kind
    context: str
    fact: Fact
    answer: str

    @property
    def fields(self) -> dict[str, str]:
        """Fields for prompts."""
        return {"context": self.context, "question": self.fact.question}


@dataclass(frozen=True)
class SyntheticFacts:
    """All facts.

    Attributes:
        open: Facts that contexts may contradict in training.
        held_out: Facts that training never contradicts.
        unheard: Lands without facts.
    """

    open: tuple[Fact, ...]
    held_out: tuple[Fact, ...]
    unheard: tuple[str, ...]

    @property
    def all(self) -> tuple[Fact, ...]:
        """Both kinds."""
        return self.open + self.held_out

    @property
    def words(self) -> list[str]:
        """Vocabulary of the texts: words with the space before them; a name is a word."""
        lands = {one.land for one in self.all}
        words = (*RELATIONS, *lands, *self.unheard, *(one.name for one in self.all))
        return [*WORDS, *(f" {word}" for word in words)]

    def case(self, kind: Kind, fact: Fact, random: Random) -> FactQuestion:
        """A question about a fact, with a context of a kind.

        A contradicting context gives the name that another land has in the same relation. For an
        unknown land, relation and name are those of random facts.
        """
        if kind == "none":
            return FactQuestion(kind, "", fact, fact.name)
        if kind == "unheard":
            name = random.choice(self.all).name
            fact = Fact(fact.relation, random.choice(self.unheard), name)
        stated = fact
        if kind == "contradicting":
            alike = [one for one in self.all if one.relation == fact.relation and one != fact]
            stated = replace_name(fact, random.choice(alike).name)
        others = random.sample(self.all, NUM_SENTENCES + 1)
        sentences = [one.statement for one in others if one != fact]
        num_others = NUM_SENTENCES - (kind != "irrelevant")
        chosen = sentences[:num_others] + ([] if kind == "irrelevant" else [stated.statement])
        random.shuffle(chosen)
        return FactQuestion(kind, " ".join(chosen), fact, stated.name)


def replace_name(fact: Fact, name: str) -> Fact:
    """The fact with another name."""
    return fact._replace(name=name)


def make_facts(num_lands: int, seed: int = 0) -> SyntheticFacts:
    """Facts of lands, each in all relations; every second one is held out. No name occurs twice."""
    random = Random(f"facts {seed}")
    names = different_names(num_lands * (len(RELATIONS) + 2), random)
    lands, unheard = names[:num_lands], names[num_lands : 2 * num_lands]
    pairs = [(relation, land) for land in lands for relation in RELATIONS]
    facts = [Fact(*pair, name) for pair, name in zip(pairs, names[2 * num_lands :], strict=True)]
    random.shuffle(facts)
    return SyntheticFacts(tuple(facts[::2]), tuple(facts[1::2]), tuple(unheard))


def different_names(num: int, random: Random) -> list[str]:
    """Distinct random names."""
    found: dict[str, None] = {}
    while len(found) < num:
        found["".join(random.choices(SYLLABLES, k=NUM_SYLLABLES)).capitalize()] = None
    return list(found)


def draw_kind(shares: Sequence[tuple[Kind, float]], random: Random) -> Kind:
    """A random kind of context."""
    kinds, weights = zip(*shares, strict=True)
    return random.choices(kinds, weights)[0]
