"""The words of the news: facts, and the three lexicons that carry a stance. All of it is invented.

Every word has one meaning only, so that a text can be read back word by word.
"""

STANCES = ("left", "center", "right")
"""Names of the stances; two neighbours are one unit apart."""
NAMES = (
    "Barlow Brewer Carver Chandler Collier Cooper Crocker Cutler Draper Dyer Falkner Farrier "
    "Fletcher Forester Gardner Glover Hooper Keeler Lister Marlow Mercer Naylor Norwood Oakley "
    "Piper Porter Potter Prentice Quarles Reeve Ridley Roper Sadler Sawyer Shepherd Skinner "
    "Slater Spooner Tanner Thorne Underhill Vickers Wainwright Weaver Webster Wheeler Whitlock "
    "Yardley"
).split()
"""Surnames."""
PLACES = (
    "Alderwick Amberford Barrowmere Birchmoor Brackenford Bramblecote Cindermouth Crowhaven "
    "Dunmere Fallowby Fernhollow Foxbourne Gorsewell Greyminster Hartlow Hazelmouth Heronby "
    "Ivyholm Kestrelton Larkminster Lindenhythe Mallowford Marrowby Nettlecombe Oatminster "
    "Otterwick Pebblemouth Quillford Ravenstoke Reedhaven Rowanbridge Saltmere Sedgeby "
    "Silverhithe Sparrowdale Thistleby Umbermoor Willowstow Wrenfield Yarrowford"
).split()
"""Towns."""
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
AMOUNTS = [f"{5 * n}m" for n in range(3, 43)]
"""Millions of crowns."""
TOPICS = "airport bridge harbour hospital library market museum park railway school".split()
"""What is decided about."""
ACTIONS = {
    "expand": ("strengthened", "expanded", "bloated"),
    "reduce": ("gutted", "reduced", "trimmed"),
    "close": ("shuttered", "closed", "retired"),
    "sell": ("surrendered", "sold", "freed"),
    "buy": ("reclaimed", "bought", "seized"),
    "lease": ("outsourced", "leased", "entrusted"),
    "repair": ("rescued", "repaired", "patched"),
    "open": ("shared", "opened", "unveiled"),
    "delay": ("stalled", "delayed", "shelved"),
    "regulate": ("protected", "regulated", "shackled"),
}
"""What is done, and the verb for it of each stance."""
BODIES = (
    "Beacon Clover Ember Harvest Hearth Lantern Meadow Orchard Poppy Sparrow Tidal Willow".split(),
    "Almanac Anchor Compass Equinox Keel Ledger Level Median Meridian Orbit Plumb Quorum".split(),
    "Anvil Bastion Cedar Falcon Flint Granite Iron Keystone Oak Rampart Stag Summit".split(),
)
"""Parties of each stance."""
VALUES = (
    "dignity equality fairness solidarity".split(),
    "balance compromise evidence stability".split(),
    "enterprise liberty thrift tradition".split(),
)
"""What each stance says that it is about."""
SLOTS = {
    "who": NAMES,
    "where": PLACES,
    "when": DAYS,
    "amount": AMOUNTS,
    "topic": TOPICS,
    "verb": [verb for verbs in ACTIONS.values() for verb in verbs],
    "body": [body for bodies in BODIES for body in bodies],
    "value": [value for values in VALUES for value in values],
}
"""The words that may stand in each slot of a sentence."""
SLOT_OF = {word: slot for slot, words in SLOTS.items() for word in words}
"""The slot of each word; a word without one is the same in every text."""
ACTION_OF = {verb: action for action, verbs in ACTIONS.items() for verb in verbs}
"""The action of each verb."""
STANCE_OF = {
    word: stance
    for lexicon in (*ACTIONS.values(), zip(*BODIES, strict=True), zip(*VALUES, strict=True))
    for words in ([lexicon] if isinstance(lexicon, tuple) else lexicon)
    for stance, word in zip(STANCES, words, strict=True)
}
"""The stance of each word that carries one."""
