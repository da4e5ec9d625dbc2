"""The words of the documents, and the facts about them that hold in all of them.

Every word has one meaning only, so that a document can be read back word by word. The facts of a
topic are of three kinds: the class of each word, the label of each class, and the label of each
word. Labels of classes and of words differ within a topic, and a third of all labels is neither.
"""

from typing import Literal

Part = Literal["seen", "held_out", "common", "rare"]
"""Topics of pools to select from, those that these never are about, both, and few documents'."""
TOPIC_WORDS = {
    "kitchen": "fork spoon kettle ladle plate cup bowl pan oven stove sieve whisk grater apron "
    "tray jug",
    "garden": "spade rake hose hedge lawn pond bench fence seed root bulb stem petal moss fern ivy",
    "harbour": "anchor mast sail deck hull rudder buoy pier rope net oar keel crane cargo tide "
    "gull",
    "workshop": "hammer saw drill chisel plane vice clamp bolt nut screw nail file lathe wrench "
    "glue paint",
    "orchestra": "violin cello flute oboe harp drum horn tuba viola gong bow reed string baton "
    "score podium",
    "market": "stall scale coin crate basket awning cheese bread onion pepper apple melon spice "
    "cloth ribbon candle",
    "library": "book shelf page ink quill atlas globe lamp desk index scroll stamp ledger map "
    "folder poem",
    "bakery": "flour yeast dough tin crust loaf bun tart cake icing sugar salt jam muffin scone "
    "wafer",
    "stable": "saddle bridle hoof mane hay straw oats trough stirrup spur foal mare barn groom "
    "halter bit",
}
WORDS = {topic: words.split() for topic, words in TOPIC_WORDS.items()}
"""Sixteen words of each topic."""
TOPICS = {
    "seen": ("harbour", "workshop", "orchestra", "market"),
    "held_out": ("kitchen", "garden"),
    "common": tuple(WORDS)[:6],
    "rare": tuple(WORDS)[6:],
}
"""The topics of each part."""
CLASSES = "amber cobalt ivory scarlet".split()
"""A quarter of the words of a topic belongs to each class."""
LABELS = "dax wug fep lup zib kiv mor tam nup gorp blick toma".split()
"""What documents say about words."""
MARKS = dict(zip(CLASSES, "so and then yet".split(), strict=True))
"""What ends a unit, by its class."""
TOPIC_OF = {word: topic for topic, words in WORDS.items() for word in words}
"""The topic of each word."""
CLASS_OF = {word: CLASSES[i // 4] for words in WORDS.values() for i, word in enumerate(words)}
"""The class of each word."""


def block(topic: str, number: int) -> list[str]:
    """Four labels of a topic; its three blocks are those of classes, of words, and the others."""
    index = list(WORDS).index(topic)
    start, turn = 4 * ((index + number) % 3), index // 3
    labels = LABELS[start : start + 4]
    return labels[turn:] + labels[:turn]  # two topics never give all classes the same labels


CLASS_LABEL = {topic: dict(zip(CLASSES, block(topic, 0), strict=True)) for topic in WORDS}
"""The label of each class, by topic."""
WORD_LABELS = {topic: block(topic, 1) for topic in WORDS}
"""The labels of the words of a topic; the words of a class have different ones."""
WORD_LABEL = {
    word: WORD_LABELS[topic][i % 4]
    for topic, words in WORDS.items()
    for i, word in enumerate(words)
}
"""The label of each word."""
OTHER_LABELS = {topic: block(topic, 2) for topic in WORDS}
"""Labels that no fact of a topic has."""


def following(word: str, step: int) -> str:
    """The word that follows in a chain of step 3 or 10, which passes all words of a topic."""
    words = WORDS[TOPIC_OF[word]]
    return words[(words.index(word) + 1) * step % 17 - 1]


NEXT = {word: (following(word, 3), following(word, 10)) for word in TOPIC_OF}
"""The two words that may follow in a chain; easy documents always take the first."""
