"""Synthetic tasks whose answers have a format that only the demonstrations reveal.

"farm: ends hen pig cow" asks for two words, but not in which format: "hen cow", "[COW-HEN]!" or
"so: Hen & Cow". Demonstrations of the same topic show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from benchmarks.claims.decoding.synthetic_formats import Format, formats
from datamodules.questions.demonstrations import Demonstration, Demonstrations
from modules.prompting.templates import ExampleAnswers

TOPICS: dict[str, tuple[str, ...]] = {
    "farm": ("cow", "hen", "pig", "goat", "duck", "mule"),
    "wood": ("oak", "fern", "moss", "deer", "owl", "fox"),
    "sea": ("crab", "whale", "cod", "gull", "reef", "tide"),
    "town": ("bank", "park", "shop", "bus", "lamp", "gate"),
    "body": ("arm", "leg", "nose", "knee", "hand", "chin"),
    "desk": ("pen", "ink", "note", "clip", "stamp", "book"),
    "bath": ("soap", "tub", "comb", "mat", "foam", "sink"),
    "bed": ("sheet", "quilt", "dream", "nap", "yawn", "snore"),
    "art": ("paint", "brush", "clay", "easel", "chalk", "frame"),
    "band": ("drum", "flute", "horn", "harp", "bass", "bell"),
    "sky": ("moon", "star", "sun", "comet", "mars", "venus"),
    "storm": ("rain", "hail", "wind", "snow", "fog", "sleet"),
    "fruit": ("plum", "pear", "fig", "lime", "kiwi", "peach"),
    "meal": ("soup", "rice", "bread", "stew", "pie", "cake"),
    "drink": ("tea", "milk", "juice", "water", "cocoa", "cider"),
    "ship": ("mast", "sail", "oar", "deck", "keel", "rope"),
    "car": ("wheel", "brake", "boot", "tyre", "fuel", "seat"),
    "house": ("roof", "wall", "door", "stair", "floor", "attic"),
    "tool": ("saw", "axe", "nail", "drill", "file", "vice"),
    "sport": ("golf", "polo", "judo", "darts", "rugby", "chess"),
    "dress": ("hat", "coat", "sock", "glove", "belt", "scarf"),
    "stone": ("ruby", "opal", "jade", "flint", "slate", "agate"),
    "metal": ("iron", "gold", "zinc", "tin", "lead", "steel"),
    "court": ("judge", "law", "jury", "crime", "fine", "oath"),
}
"""Words of each topic, none of which belongs to another."""
NUMBERS = "nought one two three four five six seven eight nine ten eleven twelve".split()
TEMPLATE = ExampleAnswers()
MANY_TRIES = 1000
"""After this many repeated draws there are no new tasks."""


class Task(NamedTuple):
    """A question and the content of its answer, without the format.

    Attributes:
        topic: A key of `TOPICS`.
        prompt: The question.
        items: Lower-case words of the answer, in order.
    """

    topic: str
    prompt: str
    items: tuple[str, ...]

    def answered(self, how: Format) -> Demonstration:
        """The task with its answer."""
        return Demonstration(self.prompt, how.write(self.items), self.topic)


class Episode(NamedTuple):
    """Demonstrations that share topic and format, and a question of the same.

    With four demonstrations it has about 380 letters, hardly ever more than 420.

    Attributes:
        shown: The demonstrations.
        asked: The question with its right answer.
    """

    shown: tuple[Demonstration, ...]
    asked: Demonstration

    @property
    def text(self) -> str:
        """What a model is trained on: the prompt and its answer."""
        prompt = TEMPLATE.render(self.shown, self.asked.prompt, None)
        return f"{prompt} {self.asked.response}"


class Grade(NamedTuple):
    """Which parts of an answer are right.

    Attributes:
        is_right: All of it, exactly.
        has_format: The format, whatever the content.
        has_items: The content, in any order and format.
    """

    is_right: bool
    has_format: bool
    has_items: bool


@dataclass(frozen=True)
class World:
    """A format for each topic, demonstrations of all topics, and questions that are not among them.

    Attributes:
        formats: By topic; no two topics have the same.
        pool: Demonstrations, whose origin is their topic, in no order.
        questions: As many of each topic, in no order.
    """

    formats: dict[str, Format]
    pool: Demonstrations
    questions: list[Task]

    def grade(self, task: Task, answer: str) -> Grade:
        """Judge an answer to a question, without the space around it."""
        answer, how = answer.strip(), self.formats[task.topic]
        words = "".join(letter if letter.isalnum() else " " for letter in answer.lower()).split()
        return Grade(
            answer == how.write(task.items),
            how.read(answer) is not None,
            all(words.count(item) >= task.items.count(item) for item in task.items),
        )


def task(topic: str, random: Random) -> Task:
    """Any question of a topic; it names words of the topic."""
    kind = random.choice(("list", "ends", "first", "add"))
    if kind == "add":
        one, other = random.randint(1, 6), random.randint(1, 6)
        word = random.choice(TOPICS[topic])
        return Task(topic, f"{topic}: add {one} {other} {word}", (NUMBERS[one + other], word))
    words = tuple(random.sample(TOPICS[topic], 2 if kind == "list" else 3))
    items = {"list": words, "ends": (words[0], words[-1]), "first": words[:1]}[kind]
    return Task(topic, f"{topic}: {kind} {' '.join(words)}", items)


def reveals(shown: Sequence[Task], asked: Task) -> bool:
    """Whether demonstrations in one format leave no doubt about the answer to a question.

    Every answer shows all of a format but separator and order, which take two items.
    """
    is_long = any(len(one.items) > 1 for one in shown)
    return bool(shown) and (is_long or len(asked.items) == 1)


def episode(seed: int, index: int, num_shown: int, is_held_out: bool = False) -> Episode:
    """Episode `index` of a seed, always the same.

    Args:
        seed: Another seed makes other episodes.
        index: Number of the episode.
        num_shown: Demonstrations, from 1 on; no two tasks of an episode are the same.
        is_held_out: Whether its format is one that training never shows.

    Raises:
        ValueError: There are not enough tasks of a topic.
    """
    random = Random(f"{seed} {index} {num_shown} {is_held_out}")
    topic = random.choice(list(TOPICS))
    how = random.choice(formats(is_held_out))
    while True:
        *shown, asked = different(topic, num_shown + 1, random)
        if reveals(shown, asked):
            return Episode(tuple(one.answered(how) for one in shown), asked.answered(how))


def world(seed: int, num_shown: int, num_asked: int, is_held_out: bool = True) -> World:
    """The world of a seed, always the same.

    Args:
        seed: Another seed makes another world.
        num_shown: Demonstrations of each topic.
        num_asked: Questions of each topic.
        is_held_out: Whether its formats are those that training never shows.

    Raises:
        ValueError: There are not enough tasks of a topic.
    """
    random = Random(f"world {seed}")
    chosen = dict(zip(TOPICS, random.sample(formats(is_held_out), len(TOPICS)), strict=True))
    shown: list[Demonstration] = []
    asked: list[Task] = []
    for topic, how in chosen.items():
        tasks = different(topic, num_shown + num_asked, random)
        shown += [one.answered(how) for one in tasks[:num_shown]]
        asked += tasks[num_shown:]
    random.shuffle(shown)
    random.shuffle(asked)
    return World(chosen, Demonstrations(shown), asked)


def different(topic: str, num: int, random: Random) -> list[Task]:
    """So many tasks of a topic, no two of which are the same.

    Raises:
        ValueError: There are not enough.
    """
    found: dict[str, Task] = {}
    num_tries = 0
    while len(found) < num:
        one = task(topic, random)
        num_tries = num_tries + 1 if one.prompt in found else 0
        found[one.prompt] = one
        if num_tries == MANY_TRIES:
            raise ValueError(f"there are not {num} different tasks of {topic!r}.")
    return list(found.values())
