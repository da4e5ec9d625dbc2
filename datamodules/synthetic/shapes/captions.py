"""Captions of scenes: a small grammar and its parser.

A caption has an opening and one clause per shape, joined by "and". Writing and parsing use the same
tables, so that one is the exact inverse of the other.
"""

import json
import re
from functools import cache
from random import Random

from typing_extensions import override

from datamodules.synthetic.shapes.scenes import COLOURS, FORMS, RADII, Part, Scene, Shape, scene
from datamodules.text.source import SyntheticText

GRAMMAR = 1
"""Version of words and scenes; raised when a caption changes, so that cached tokens are rebuilt."""
WORDINGS = {
    "top left": ("in the top left", "in the top left corner"),
    "top": ("at the top",),
    "top right": ("in the top right", "in the top right corner"),
    "left": ("on the left", "on the left side"),
    "centre": ("in the centre", "in the middle"),
    "right": ("on the right", "on the right side"),
    "bottom left": ("in the bottom left", "in the bottom left corner"),
    "bottom": ("at the bottom",),
    "bottom right": ("in the bottom right", "in the bottom right corner"),
}
"""Wordings of each position."""
CALLED = {wording: place for place, wordings in WORDINGS.items() for wording in wordings}
"""The position that each wording means."""
FRAMES = (
    ("", "{thing} {place}"),
    ("there is ", "{thing} {place}"),
    ("a picture of ", "{thing} {place}"),
    ("", "{place} is {thing}"),
)
"""Openings, and the form of the clauses after each."""
AND = " and "


def caption(scene: Scene, rng: Random, repeated: float = 0.0) -> str:
    """Describe a scene: colour, form, size and position of every shape.

    Args:
        scene: The scene.
        rng: Draws the wording, and which shape comes first.
        repeated: Probability that a clause is followed by some of its words again; `parse` cannot
            read such a caption.

    Returns:
        Lower case, on one line, without a full stop.
    """
    opening, clause = rng.choice(FRAMES)
    shapes = rng.sample(scene.shapes, len(scene.shapes))
    return opening + AND.join(
        clause.format(
            thing=f"a {shape.size} {shape.colour} {shape.form}",
            place=rng.choice(WORDINGS[shape.place]),
        )
        + (repetition(shape, rng) if repeated and rng.random() < repeated else "")
        for shape in shapes
    )


def repetition(shape: Shape, rng: Random) -> str:
    """Some of the words for a shape again, in any order, right after its clause.

    The last word of the clause must predict them all, so that a small language model collects the
    content of the clause at that position, as a large one does without help.
    """
    words = [shape.size, shape.colour, shape.form, *shape.place.split()]
    return "".join(f" {word}" for word in rng.sample(words, rng.randint(1, len(words))))


def parse(text: str) -> tuple[Shape, ...]:
    """The shapes that a caption names, in its order.

    Raises:
        ValueError: It is not a caption of this grammar.
    """
    for opening, clause in FRAMES:
        found = [pattern(clause).fullmatch(part) for part in text[len(opening) :].split(AND)]
        if text.startswith(opening) and all(found):
            return tuple(shape_of(match) for match in found if match)
    raise ValueError(f"not a caption of shapes: {text!r}")


@cache
def pattern(clause: str) -> re.Pattern[str]:
    """The regular expression of a clause."""
    sizes, colours, forms = ("|".join(words) for words in (RADII, COLOURS, FORMS))
    thing = f"a (?P<size>{sizes}) (?P<colour>{colours}) (?P<form>{forms})"
    return re.compile(clause.format(thing=thing, place=f"(?P<place>{'|'.join(CALLED)})"))


def shape_of(match: re.Match[str]) -> Shape:
    """The shape that a clause names."""
    return Shape(match["colour"], match["form"], match["size"], CALLED[match["place"]])


class ShapeCaptions(SyntheticText):
    """Captions of synthetic scenes.

    By default the words of all pairs of a colour and a form occur together, as in the pretraining
    text of any language model; only their images are held out.

    Args:
        num: Number of captions.
        seed: Seed of the scenes; use different ones for training and test.
        part: Which pairs of colour and form may occur.
        restated: Probability that a caption is followed by one to three more of the same scene, a
            sentence each, which a model can only predict if it knows what is where.
        repeated: Probability that a clause is followed by some of its words again, in any order.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `num` is below 1, or `restated` or `repeated` is no probability.
    """

    kind = "captions"
    grammar = GRAMMAR

    def __init__(
        self,
        num: int,
        seed: int = 0,
        part: Part = "all",
        restated: float = 0.0,
        repeated: float = 0.0,
        weight: float = 1.0,
    ):
        super().__init__(num, seed, weight)
        for name, value in (("restated", restated), ("repeated", repeated)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be within [0, 1], got {value}.")
        self.restated = restated
        self.repeated = repeated
        self.part: Part = part

    @property
    @override
    def name(self) -> str:
        return f"{super().name}:{self.part}"

    @override
    def fingerprint(self) -> str:
        return json.dumps([super().fingerprint(), self.part, self.restated, self.repeated])

    @override
    def text(self, index: int) -> str:
        text = numbered_caption(self.seed, index, self.part, self.repeated)
        rng = Random(f"restated/{self.part}/{self.seed}/{index}")
        if rng.random() >= self.restated:
            return text
        shown = scene(self.seed, index, self.part)
        more = (caption(shown, rng, self.repeated) for _ in range(rng.randint(1, 3)))
        return ". ".join([text, *more])


def numbered_caption(seed: int, index: int, part: Part = "all", repeated: float = 0.0) -> str:
    """A caption of scene `index`, always the same for the same arguments."""
    return caption(scene(seed, index, part), Random(f"caption/{part}/{seed}/{index}"), repeated)
