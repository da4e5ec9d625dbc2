"""What the words of a caption mean, in plain sentences: a rose is red, a square has four corners.

In captions alone one colour could stand for another, one form for another and left for right, so
that a language model keeps them all but alike. Any text of the world tells them apart; these
sentences do it here.
"""

import json
from collections.abc import Iterator
from random import Random

from datamodules.documents import Document
from datamodules.text_source import TextSource

GRAMMAR = 1
"""Version of the sentences; raised when they change, so that tokens are made anew."""
Table = dict[str, tuple[str, ...]]
"""What is said of each word."""
COLOURED: Table = {
    "red": ("a rose", "a brick", "a cherry", "blood"),
    "orange": ("a carrot", "a pumpkin", "rust", "a fox"),
    "yellow": ("the sun", "a lemon", "butter", "straw"),
    "green": ("grass", "a leaf", "a frog", "a pea"),
    "cyan": ("shallow water", "mint ice", "a clear pool", "pale glass"),
    "blue": ("the sky", "the sea", "ink", "a bluebell"),
    "purple": ("a plum", "a violet", "a grape", "lavender"),
    "white": ("snow", "milk", "salt", "a swan"),
}
"""Things of each colour."""
TRAITS: Table = {
    "circle": ("is round and full", "is like a coin", "has no corners", "is like the moon"),
    "square": ("has four corners", "is like a box", "has four sides", "is like a window"),
    "triangle": ("has three corners", "is like a roof", "has three sides", "points up like a tent"),
    "cross": ("has four arms", "is like a plus", "is two bars", "is like a crossing of roads"),
    "ring": ("has a hole", "is like a wheel", "is round and empty", "fits on a finger"),
}
"""What is true of each form."""
SIZES: Table = {
    "small": ("an ant", "a crumb", "a seed", "a bead"),
    "large": ("a house", "a whale", "a hill", "an elephant"),
}
"""Things of each size."""
PLACED: Table = {
    "top": ("a hat", "a roof", "a crown", "the moon"),
    "bottom": ("a shoe", "a root", "a cellar", "the ground"),
    "left": ("the heart", "the west", "the first page", "a clock at nine"),
    "right": ("the east", "the last page", "a writing hand", "a clock at three"),
    "centre": ("the core", "a hub", "a target"),
    "middle": ("a belt", "noon", "a waist"),
}
"""Things of each place."""


def sentence(rng: Random) -> str:
    """One true sentence."""
    words = rng.choice([TRAITS, TRAITS, COLOURED, SIZES, PLACED])
    if words is TRAITS:
        form = rng.choice(list(TRAITS))
        trait = rng.choice(TRAITS[form])
        return rng.choice([f"a {form} {trait}.", f"what {trait} is a {form}."])
    word = rng.choice(list(words))
    thing = rng.choice(words[word])
    return rng.choice([f"{thing} is {word}.", f"{word} like {thing}.", f"as {word} as {thing}."])


class ShapeWords(TextSource):
    """True sentences about colours, forms, sizes and places, a few to a document; needs no file.

    Args:
        num: Number of documents.
        seed: Another seed makes other documents.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `num` is below 1.
    """

    def __init__(self, num: int, seed: int = 0, weight: float = 1.0):
        super().__init__(weight)
        if num < 1:
            raise ValueError(f"num must be at least 1, got {num}.")
        self.num = num
        self.seed = seed

    @property
    def name(self) -> str:
        """Number and seed."""
        return f"words:{self.num}:{self.seed}"

    def fingerprint(self) -> str:
        """Version of the sentences, number and seed."""
        return json.dumps(["ShapeWords", GRAMMAR, self.num, self.seed])

    def documents(self) -> Iterator[Document]:
        """The documents 0 to `num` of this seed, of four to eight sentences."""
        for index in range(self.num):
            rng = Random(f"words/{self.seed}/{index}")
            text = " ".join(sentence(rng) for _ in range(rng.randint(4, 8)))
            yield Document(text, f"{self.name}:{index + 1}")
