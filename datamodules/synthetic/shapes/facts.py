"""Facts about the words of captions: a rose is red, a square has four corners.

In captions alone colours are interchangeable, and so are forms, and left and right, so that a
language model gives them nearly equal representations. Natural text distinguishes them; here these
sentences do.
"""

from random import Random

from typing_extensions import override

from datamodules.text.source import SyntheticText

Table = dict[str, tuple[str, ...]]
"""Phrases for each word."""
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
"""Properties of each form."""
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
"""Things at each position."""


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


class ShapeFacts(SyntheticText):
    """True sentences about colours, forms, sizes and positions, four to eight per document."""

    kind = "words"
    grammar = 1

    @override
    def text(self, index: int) -> str:
        rng = Random(f"words/{self.seed}/{index}")
        return " ".join(sentence(rng) for _ in range(rng.randint(4, 8)))
