"""Made facts to be learnt by heart, and contexts that agree with them or contradict them.

Other contexts say nothing of what is asked, or tell of lands that nobody has heard of.

"What is the river of Zubaki?" is answered "Telomi", by heart, until a context says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

Kind = Literal["none", "irrelevant", "agreeing", "unheard", "contradicting"]
"""Of a context."""
RELATIONS = ("capital", "river", "king", "hero", "dish", "bird")
WORDS = ("The", " The", "What", " What", " is", " the", " of", ".", "?")
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
SYLLABLES = tuple(c + v for c in CONSONANTS for v in VOWELS)
NUM_SYLLABLES = 3
NUM_SENTENCES = 3
"""Of a context."""


class Fact(NamedTuple):
    """What is so.

    Attributes:
        relation: One of `RELATIONS`.
        land: Name of a land.
        name: What stands in this relation to it.
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
        """What asks for the name."""
        return f"What is the {self.relation} of {self.land}?"


class Case(NamedTuple):
    """A question, perhaps with a context.

    Attributes:
        kind: Of the context.
        context: Sentences; empty where there is none.
        fact: What is asked, as it was learnt.
        answer: What is right: what the context says of it, or what was learnt.
    """

    kind: Kind
    context: str
    fact: Fact
    answer: str

    @property
    def fields(self) -> dict[str, str]:
        """For prompts."""
        return {"context": self.context, "question": self.fact.question}


@dataclass(frozen=True)
class Facts:
    """All facts.

    Attributes:
        open: Those that contexts may contradict in training.
        held_out: Those that training never contradicts.
        unheard: Lands of which there are no facts.
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
        """What texts are made of: words with the blank before them; a name is a word."""
        lands = {one.land for one in self.all}
        said = (*RELATIONS, *lands, *self.unheard, *(one.name for one in self.all))
        return [*WORDS, *(f" {word}" for word in said)]

    def case(self, kind: Kind, fact: Fact, random: Random) -> Case:
        """A question about a fact, with a context of a kind.

        A contradicting context gives the name that another land has in the same relation. Where
        the land is unheard of, relation and name are those of any facts.
        """
        if kind == "none":
            return Case(kind, "", fact, fact.name)
        if kind == "unheard":
            name = random.choice(self.all).name
            fact = Fact(fact.relation, random.choice(self.unheard), name)
        said = fact
        if kind == "contradicting":
            alike = [one for one in self.all if one.relation == fact.relation and one != fact]
            said = replace_name(fact, random.choice(alike).name)
        others = random.sample(self.all, NUM_SENTENCES + 1)
        sentences = [one.statement for one in others if one != fact]
        num_others = NUM_SENTENCES - (kind != "irrelevant")
        told = sentences[:num_others] + ([] if kind == "irrelevant" else [said.statement])
        random.shuffle(told)
        return Case(kind, " ".join(told), fact, said.name)


def replace_name(fact: Fact, name: str) -> Fact:
    """The same with another name."""
    return fact._replace(name=name)


def make_facts(num_lands: int, seed: int = 0) -> Facts:
    """Facts of lands, each in all relations; every second one is held out. No name occurs twice."""
    random = Random(f"facts {seed}")
    names = different_names(num_lands * (len(RELATIONS) + 2), random)
    lands, unheard = names[:num_lands], names[num_lands : 2 * num_lands]
    pairs = [(relation, land) for land in lands for relation in RELATIONS]
    facts = [Fact(*pair, name) for pair, name in zip(pairs, names[2 * num_lands :], strict=True)]
    random.shuffle(facts)
    return Facts(tuple(facts[::2]), tuple(facts[1::2]), tuple(unheard))


def different_names(num: int, random: Random) -> list[str]:
    """So many names, no two the same."""
    found: dict[str, None] = {}
    while len(found) < num:
        found["".join(random.choices(SYLLABLES, k=NUM_SYLLABLES)).capitalize()] = None
    return list(found)


def draw_kind(shares: Sequence[tuple[Kind, float]], random: Random) -> Kind:
    """A kind of context by chance."""
    kinds, weights = zip(*shares, strict=True)
    return random.choices(kinds, weights)[0]
