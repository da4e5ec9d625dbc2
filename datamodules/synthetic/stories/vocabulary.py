"""The words of the little stories, and a class that draws from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")

GIRLS = (
    "Anna Bella Clara Daisy Ella Flora Greta Hanna Ida Julia Kate Lily Mia Nora Olive Polly Rosa "
    "Sara Tilda Una Vera Wilma Zoe Maya Ruth Jane"
).split()
BOYS = (
    "Adam Ben Carl David Emil Finn George Hugo Ivan Jack Kurt Leo Max Noah Otto Paul Robin Sam "
    "Tom Victor Will Felix Oscar Theo Jonas Peter"
).split()
PETS = "Pip Fluff Button Pepper Biscuit Nutmeg Clover Dot Puddle Bramble Teasel Tumble".split()
SMALL = "mouse rabbit squirrel hedgehog duckling kitten frog sparrow puppy mole".split()
LARGE = "bear horse deer goat donkey cow fox goose badger swan".split()
COLOURS = "red blue green yellow orange purple pink white brown silver golden grey".split()
THINGS = (
    "kite ball hat scarf drum book bell umbrella basket balloon whistle lantern bucket ribbon "
    "cushion blanket spoon feather button coat"
).split()
PLACES = (
    "in the park|at the beach|in the forest|by the river|in the garden|on the hill|at the market|"
    "by the pond|in the meadow|at the playground|by the old mill|at the farm|near the bridge|"
    "in the orchard|on the village green"
).split("|")
SPOTS = (
    "under a bench|behind a big stone|in the tall grass|next to a gate|under a bush|"
    "behind an old tree|inside a hollow log|under some leaves|on a low wall|between two stones|"
    "beside a wooden cart|at the bottom of some steps"
).split("|")
HIDINGS = (
    "behind the curtain|under the bed|inside the wardrobe|behind the sofa|under the table|"
    "in the laundry basket|behind the kitchen door|in the attic|under the stairs|in the shed"
).split("|")
DAYS = (
    "sunny morning|windy afternoon|rainy day|cold morning|warm evening|foggy morning|bright day|"
    "quiet afternoon|cloudy day|mild spring morning|golden autumn day|hot summer day"
).split("|")
RELATIVES = "grandmother grandfather mother father aunt uncle sister brother cousin".split()
FRUITS = "apples pears plums cherries nuts carrots cookies berries peaches buns".split()
CAKES = "apple cake|carrot cake|plum tart|honey cake|lemon cake|cherry pie|nut bread".split("|")
INGREDIENTS = "flour sugar butter milk honey salt cinnamon cream".split()
FLOWERS = "rose tulip daisy sunflower lily poppy pansy bluebell".split()
NUMBERS = "no one two three four five six seven eight nine ten".split()
SAD = "sad unhappy worried upset gloomy lonely".split()
GLAD = "happy glad proud thankful cheerful merry".split()


@dataclass(frozen=True)
class Person:
    """A character with the pronouns that agree with the name.

    Attributes:
        name: First name.
        he: Subject: he or she.
        him: Object: him or her.
        his: Owner: his or her.
    """

    name: str
    he: str
    him: str
    his: str

    @property
    def Subject(self) -> str:  # noqa: N802 - the capital is the point
        """The subject at the start of a sentence."""
        return self.he.capitalize()

    @property
    def himself(self) -> str:
        """The pronoun that points back."""
        return f"{self.him}self"


class Teller:
    """Draws words for one story.

    Args:
        rng: The only source of randomness.
    """

    def __init__(self, rng: Random):
        self.rng = rng

    def pick(self, *options: T) -> T:
        """One of the arguments."""
        return options[int(self.rng.random() * len(options))]

    def word(self, words: Sequence[T]) -> T:
        """One of a list."""
        return words[int(self.rng.random() * len(words))]

    def two(self, words: Sequence[T]) -> tuple[T, T]:
        """Two different ones of a list."""
        first, second = self.rng.sample(range(len(words)), 2)
        return words[first], words[second]

    def child(self, other_than: str = "") -> Person:
        """A girl or a boy of another name than the one given."""
        is_girl = self.rng.random() < 0.5
        name = self.word([name for name in (GIRLS if is_girl else BOYS) if name != other_than])
        return Person(name, "she", "her", "her") if is_girl else Person(name, "he", "him", "his")

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high."""
        return low + int(self.rng.random() * (high - low + 1))


def a(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"an {noun}" if noun[0] in "aeio" or noun.startswith(("um", "un", "ug")) else f"a {noun}"
