"""Plots of little stories; each keeps its facts straight from the first sentence to the last.

What a story says early (who owns what, its colour, a place, a number) decides what it may say
late, so that a model shows by its endings whether it has read the beginning.
"""

from collections.abc import Callable

from datamodules.story_words import (
    CAKES,
    COLOURS,
    DAYS,
    FLOWERS,
    FRUITS,
    GLAD,
    HIDINGS,
    INGREDIENTS,
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


def lost_and_found(t: Teller) -> list[str]:
    """A thing is left somewhere; an animal has found it there."""
    who, place, spot = t.child(), t.word(PLACES), t.word(SPOTS)
    colour, thing, finder = t.word(COLOURS), t.word(THINGS), t.word(SMALL + LARGE)
    name, he, his, relative = who.name, who.he, who.his, t.word(RELATIVES)
    return [
        t.pick(
            f"{name} had {a(colour)} {thing}.",
            f"There was once a child named {name} who had {a(colour)} {thing}.",
            f"{name} loved {his} {colour} {thing} more than anything.",
        ),
        t.pick(f"It was a present from {his} {relative}.", f"{who.Subject} took it everywhere."),
        f"One {t.word(DAYS)}, {he} played with the {thing} {place}.",
        t.pick(
            f"But when {name} came home, the {thing} was gone.",
            f"In the evening {he} looked for the {thing}, but {he} could not find it.",
        ),
        t.pick(
            f'"Where is my {thing}?" {he} asked, and {he} felt very {t.word(SAD)}.',
            f'"Oh no, I have lost my {thing}!" said {name}.',
        ),
        f"So {name} went back and looked for it {place}.",
        t.pick(
            f"There {he} met {a(finder)} that was sitting {spot}.",
            f"{a(finder).capitalize()} was waiting there {spot}.",
        ),
        t.pick(
            f'"Is this {colour} {thing} yours?" asked the {finder}.',
            f'"I found {a(colour)} {thing}," said the {finder}. "Is it yours?"',
        ),
        t.pick(
            f"{name} thanked the {finder} and carried {his} {thing} home.",
            f'"Yes, thank you!" said {name}, and {he} hugged {his} {colour} {thing}.',
            f"{name} was {t.word(GLAD)} to have the {thing} back, and the {finder} was "
            f"{t.word(GLAD)} too.",
        ),
    ]


def sharing(t: Teller) -> list[str]:
    """One has some, the other none; the sums are right."""
    one = t.child()
    other, fruit = t.child(one.name), t.word(FRUITS)
    had = t.number(4, 10)
    gave = t.number(2, had - 2)
    place = t.word(PLACES)
    return [
        f"One {t.word(DAYS)}, {one.name} sat {place} with {NUMBERS[had]} {fruit}.",
        t.pick(
            f"Along came {other.name}, who had no {fruit} at all.",
            f"{other.name} came by and had nothing to eat.",
        ),
        t.pick(
            f'"I am so hungry," said {other.name}.',
            f'"What do you have there?" asked {other.name}.',
            f"{other.name} looked at the {fruit} and was too shy to ask.",
        ),
        t.pick(
            f'"You may have {NUMBERS[gave]} of my {fruit}," said {one.name}.',
            f'"Here, take {NUMBERS[gave]} {fruit}," said {one.name}.',
        ),
        f"So {one.name} gave {other.name} {NUMBERS[gave]} {fruit}.",
        t.pick(
            f"Now {one.name} had {NUMBERS[had - gave]} {fruit} and {other.name} had "
            f"{NUMBERS[gave]}.",
            f"{one.name} kept {NUMBERS[had - gave]} for {one.himself}.",
        ),
        ),
        t.pick(
            f"They ate together, and {other.name} was very {t.word(GLAD)}.",
            f'"Thank you, {one.name}," said {other.name}. "You are a good friend."',
        ),
        t.pick(
            "Things taste better when they are shared.",
            f"From that day on {one.name} and {other.name} were friends.",
            f"The next day {other.name} brought some {fruit} for {one.name}.",
        ),
    ]


def present(t: Teller) -> list[str]:
    """A present in the right colour, chosen from two."""
    who, relative, thing = t.child(), t.word(RELATIVES), t.word(THINGS)
    loved, passed = t.two(COLOURS)
    first, second = t.pick((loved, passed), (passed, loved))
    his, name = who.his, who.name
    return [
        t.pick(
            f"Tomorrow was the birthday of {name}'s {relative}.",
            f"{name} wanted to give {his} {relative} a present.",
        ),
        f"{name} knew that {his} {relative} loved the colour {loved}.",
        f"On {a(t.word(DAYS))}, {who.he} went to the little shop {t.word(PLACES)}.",
        f"In the window lay {a(first)} {thing} and {a(second)} {thing}.",
        t.pick(
            f'"Which {thing} would you like?" asked the shopkeeper.',
            f'"Both are lovely," said the shopkeeper. "Which {thing} shall it be?"',
        ),
        t.pick(
            f'"The {loved} one, please," said {name}.',
            f'"I do not want the {passed} one," said {name}. "I want the {loved} one."',
        ),
        f"The next day {name} gave the {loved} {thing} to {his} {relative}.",
        t.pick(
            f'"How did you know that I love {loved}?" asked {his} {relative}.',
            f'"What a beautiful {loved} {thing}!" said {his} {relative}.',
        ),
        t.pick(
            f"{name} smiled and was very {t.word(GLAD)}.",
            f"{name} got a big hug, and they ate {t.word(CAKES)} together.",
        ),
    ]


def mixed_up(t: Teller) -> list[str]:
    """Two children with the same thing in two colours take the wrong one home."""
    one = t.child()
    other, thing, (first, second) = t.child(one.name), t.word(THINGS), t.two(COLOURS)
    sorry = t.pick("laughed", "smiled", "were relieved")
    return [
        f"{one.name} had {a(first)} {thing}, and {other.name} had {a(second)} {thing}.",
        f"One {t.word(DAYS)}, they met {t.word(PLACES)} and played until it was dark.",
        "Then they took their things and went home in a hurry.",
        f"But at home {one.name} saw that {one.his} {thing} was {second}.",
        t.pick(
            f'"This is not mine," said {one.name}. "This one belongs to {other.name}."',
            f'"Mine is {first}," said {one.name}. "{other.name} must have it."',
        ),
        f"At the same time {other.name} found the {first} {thing} in {other.his} bag.",
        f"The next morning they met again and {sorry}.",
        f"{one.name} gave the {second} {thing} back to {other.name}.",
        f"And {other.name} gave the {first} {thing} back to {one.name}.",
    ]


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
            f"Then {pet} the {animal} came by and said that somebody was {spot}.",
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
            f"{t.pick(one, other).name}'s {t.word(RELATIVES)} came to see it and was {t.word(GLAD)}.",
            f"Both of them were very {t.word(GLAD)}, and they ate {t.word(FRUITS)} beside it.",
        ),
    ]


def baking(t: Teller) -> list[str]:
    """Something is missing; a neighbour lends it and gets a piece."""
    who, cake, relative = t.child(), t.word(CAKES), t.word(RELATIVES)
    neighbour, missing = t.child(who.name), t.word(INGREDIENTS)
    return [
        f"One {t.word(DAYS)}, {who.name} and {who.his} {relative} wanted to bake {a(cake)}.",
        f'"Oh dear," said {who.his} {relative}. "We have no {missing}."',
        t.pick(
            f'"I will ask {neighbour.name} next door," said {who.name}.',
            f'"Maybe {neighbour.name} has some," said {who.name}.',
        ),
        f"{who.name} knocked on the door, and {neighbour.name} opened it.",
        f'"May I have some {missing}, please?" asked {who.name}. "We are baking {a(cake)}."',
        f'"Here is the {missing}," said {neighbour.name} and gave {who.him} a full cup.',
        t.pick(
            f"Soon the whole house smelled of {cake}.",
            f"An hour later the {cake} came out of the oven.",
        ),
        f"{who.name} cut the first piece and took it to {neighbour.name}.",
        t.pick(
            f'"This is the best {cake} in the world," said {neighbour.name}.',
            f"{neighbour.name} ate it all up and was very {t.word(GLAD)}.",
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


def seed(t: Teller) -> list[str]:
    """A seed is cared for, and becomes the flower that was promised."""
    who, relative, flower = t.child(), t.word(RELATIVES), t.word(FLOWERS)
    colour, days = t.word(COLOURS), t.word(NUMBERS[3:])
    return [
        f"{who.name} got a tiny seed from {who.his} {relative}.",
        f'"It will become {a(colour)} {flower}," said {who.his} {relative}.',
        f"{who.name} put the seed into the earth {t.word(PLACES)}.",
        t.pick(
            f"Every morning {who.he} brought it water and sang to it.",
            f"{who.Subject} gave it water and waited.",
        ),
        f"After {days} days nothing had happened, and {who.name} was {t.word(SAD)}.",
        t.pick(
            f'"Be patient," said {who.his} {relative}. "Good things take time."',
            f'"Just wait a little longer," said {who.his} {relative}.',
        ),
        f"Then, on {a(t.word(DAYS))}, a green leaf looked out of the earth.",
        f"And at last there it stood: {a(colour)} {flower}, the prettiest {flower} of all.",
        t.pick(
            f"{who.name} gave the {flower} to {who.his} {relative}.",
            f"{who.name} was {t.word(GLAD)} and showed it to everybody.",
        ),
    ]


PLOTS: tuple[Callable[[Teller], list[str]], ...] = (
    lost_and_found,
    sharing,
    present,
    mixed_up,
    hide_and_seek,
    thunder,
    rescue,
    building,
    baking,
    race,
    seed,
)
"""All plots; each tells a story of five to nine sentences."""
