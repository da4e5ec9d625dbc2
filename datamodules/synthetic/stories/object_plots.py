"""Plots about things: who owns what, its colour, how many, where it was lost.

The first sentences of a story determine the last ones, so that the ending shows whether a model
has used its context.
"""

from datamodules.synthetic.stories.vocabulary import (
    CAKES,
    COLOURS,
    DAYS,
    FLOWERS,
    FRUITS,
    GLAD,
    INGREDIENTS,
    LARGE,
    NUMBERS,
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
