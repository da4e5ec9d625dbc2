"""Plots about friends: who hides where, who is afraid, stuck or slow, and who helps."""

from datamodules.synthetic.stories.vocabulary import (
    CAKES,
    COLOURS,
    DAYS,
    FRUITS,
    GLAD,
    HIDINGS,
    LARGE,
    NUMBERS,
    PETS,
    PLACES,
    RELATIVES,
    SAD,
    SMALL,
    SPOTS,
    THINGS,
    Teller,
    a,
)


def hide_and_seek(t: Teller) -> list[str]:
    """A hider, two wrong guesses and the right one."""
    seeker = t.child()
    hider, pet, animal = t.child(seeker.name), t.word(PETS), t.word(SMALL)
    spot, wrong = t.two(HIDINGS)
    return [
        f"{seeker.name} and {hider.name} played hide and seek on {a(t.word(DAYS))}.",
        f"{seeker.name} closed {seeker.his} eyes and counted to {t.word(NUMBERS[5:])}.",
        f"{hider.name} ran and hid {spot}.",
        f"{seeker.name} looked {wrong}, but {hider.name} was not there.",
        t.pick(
            f'"Where can {hider.he} be?" said {seeker.name}.',
            f'"Have you seen {hider.name}?" {seeker.he} asked {pet} the {animal}.',
        ),
        t.pick(
            f"Then {pet} the {animal} whispered that somebody was {spot}.",
            f"Just then somebody giggled {spot}.",
            f"Was that a foot {spot}?",
        ),
        f"So {seeker.name} looked {spot}.",
        t.pick(
            f'"Found you!" {seeker.he} called, and {hider.name} jumped out.',
            f'"There you are, {hider.name}!" {seeker.he} said.',
        ),
        f"Now it was {hider.name}'s turn to look for {seeker.name}.",
    ]


def thunder(t: Teller) -> list[str]:
    """A small animal is afraid; a large one gives it shelter."""
    small, large, (pet, friend) = t.word(SMALL), t.word(LARGE), t.two(PETS)
    place, colour = t.word(PLACES), t.word(COLOURS)
    return [
        f"{pet} was a little {small} who lived {place}.",
        t.pick(
            f"After {a(t.word(DAYS))} there was a storm, and {pet} was afraid of the thunder.",
            f"One evening it began to rain, and the thunder made {pet} shake.",
        ),
        f"{pet} ran to the house of {friend}, a big old {large} with {a(colour)} door.",
        t.pick(
            f'"Who knocks on my {colour} door?" asked {friend}.', f'"Who is it?" asked {friend}.'
        ),
        t.pick(
            f'"It is me, {pet}," said the little {small}. "May I come in?"',
            f'"Only {pet}," said the little {small}. "I am afraid."',
        ),
        t.pick(
            f'"Of course," said the {large}. "The storm is loud, but it cannot come in."',
            f'"Come in," said the {large}. "Two friends are braver than one."',
        ),
        f"They drank warm {t.pick('milk', 'tea', 'cocoa')} and listened to the rain together.",
        t.pick(
            f"Soon {pet} was asleep, and the {large} put a blanket over the {small}.",
            f"In the morning the sky was blue, and {pet} was not afraid any more.",
            f"Then they ate {t.word(CAKES)} behind the {colour} door until the storm was over.",
        ),
    ]


def rescue(t: Teller) -> list[str]:
    """Somebody is stuck, somebody helps and gets a reward."""
    who, animal, pet = t.child(), t.word(SMALL), t.word(PETS)
    place, fruit = t.word(PLACES), t.word(FRUITS)
    trap, tool = t.pick(
        ("in a deep hole", "rope"),
        ("high up in a tree", "ladder"),
        ("in the mud", "long stick"),
        ("behind a locked gate", "key"),
        ("on a rock in the water", "small boat"),
    )
    return [
        f"On {a(t.word(DAYS))}, {who.name} went for a walk {place}.",
        t.pick(f"Suddenly {who.he} heard a small voice.", f"Somebody was crying {place}."),
        t.pick(
            f'"Help me!" called {a(animal)}. "I am stuck {trap}!"',
            f'"Please help me, I am stuck {trap}," said {a(animal)}.',
        ),
        t.pick(
            f'"Do not be afraid," said {who.name}. "What is your name?"',
            f'"I will help you," said {who.name}. "Who are you?"',
        ),
        f'"My name is {pet}," said the {animal}.',
        f"{who.name} ran home and came back with {a(tool)}.",
        f"With the {tool} {who.he} got {pet} out, and the {animal} was free.",
        t.pick(
            f"{pet} was so {t.word(GLAD)} that the {animal} gave {who.name} some {fruit}.",
            f'"Thank you, {who.name}," said {pet}. "Have some of my {fruit}."',
        ),
        t.pick(
            f"{who.name} and {pet} the {animal} stayed friends for ever.",
            f"Then {who.name} went home and told {who.his} {t.word(RELATIVES)} about {pet}.",
        ),
    ]


def building(t: Teller) -> list[str]:
    """What was built is broken, and is built again."""
    one = t.child()
    other, colour = t.child(one.name), t.word(COLOURS)
    work, place, end = t.pick(
        ("sandcastle", "at the beach", "a big wave washed it away"),
        ("snowman", "on the hill", "the sun came out and melted it"),
        ("tree house", "in the forest", "the wind blew it down"),
        ("dam", "by the river", "the water carried it off"),
        ("tower", "in the garden", "a playful dog ran into it"),
    )
    return [
        f"On {a(t.word(DAYS))}, {one.name} and {other.name} built {a(work)} {place}.",
        f"{one.name} worked hard, and {other.name} put {a(colour)} flag on top.",
        t.pick(
            f"It was the finest {work} they had ever made.",
            f'"What a wonderful {work}!" said {one.name}.',
        ),
        f"But then {end}.",
        t.pick(
            f"{other.name} was {t.word(SAD)} and wanted to go home.",
            f'"All our work is gone," said {other.name}, and {other.he} began to cry.',
        ),
        t.pick(
            f'"The {colour} flag is still here," said {one.name}. "Let us try again."',
            f'"We can build another one," said {one.name}, and picked up the {colour} flag.',
        ),
        f"So the two friends made a new {work}, and it was even better than the old one.",
        t.pick(
            f"At last they put the {colour} flag on top again.",
            f"Then {t.pick(one, other).name} put the {colour} flag on top again.",
        ),
        t.pick(
            f"{one.name}'s {t.word(RELATIVES)} came to see it and was {t.word(GLAD)}.",
            f"Both of them were very {t.word(GLAD)}, and they ate {t.word(FRUITS)} beside it.",
        ),
    ]


def race(t: Teller) -> list[str]:
    """The fast one rests, the slow one wins the prize."""
    (quick, slow), (fast, steady) = t.two(LARGE), t.two(PETS)
    colour, thing, goal = t.word(COLOURS), t.word(THINGS), t.word(PLACES)
    return [
        f"{fast} the {quick} could run very fast, but {steady} the {slow} was slow.",
        f'"I am faster than you," said {fast}. "You will never win a race."',
        f'"Let us try," said {steady}. "The prize is {a(colour)} {thing}."',
        f"They wanted to run until they met again {goal}.",
        f"Soon {fast} was far ahead and lay down {t.word(SPOTS)} for a little sleep.",
        f"{steady} did not stop, not even once.",
        f"When {fast} woke up, {steady} was already waiting {goal}.",
        t.pick(
            f"So the {colour} {thing} went to the {slow}.",
            f"{steady} the {slow} got the {colour} {thing}, and everybody cheered.",
        ),
        t.pick(
            f'"You have won," said the {quick}. "I will never laugh at you again."',
            f"{fast} was {t.word(SAD)} at first, but then the {quick} cheered too.",
        ),
    ]
