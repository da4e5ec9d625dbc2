"""The sentences of articles, and the skeletons of summaries.

The names in braces are the slots of `words.SLOTS`. The same tables serve to write and to read.
"""

LEADS = {
    "where when": (
        "{who} {verb} the {topic} in {where} on {when}.",
        "On {when}, {who} {verb} the {topic} in {where}.",
        "In {where}, {who} {verb} the {topic} on {when}.",
        "The {topic} in {where} was {verb} by {who} on {when}.",
    ),
    "where": (
        "{who} {verb} the {topic} in {where}.",
        "In {where}, {who} {verb} the {topic}.",
        "The {topic} in {where} was {verb} by {who}.",
    ),
    "when": (
        "{who} {verb} the {topic} on {when}.",
        "On {when}, {who} {verb} the {topic}.",
        "The {topic} was {verb} by {who} on {when}.",
    ),
    "": ("{who} {verb} the {topic}.", "The {topic} was {verb} by {who}."),
}
"""First sentences, by the facts that they give besides who did what."""
AMOUNTS = {
    "": ("The decision will cost {amount} crowns.", "The plan is worth {amount} crowns."),
    "when": (
        "The decision on {when} will cost {amount} crowns.",
        "The plan of {when} is worth {amount} crowns.",
    ),
    "where": (
        "The decision will cost {where} {amount} crowns.",
        "The plan is worth {amount} crowns to {where}.",
    ),
}
"""Sentences about the cost, by the other facts that they give."""
PLANS = (("where when", ""), ("where", "when"), ("when", "where"))
"""What the first sentence and that about the cost of a short article give."""
DETAILS = (
    ("The decision was in {where}.", "The plan is about {where}."),
    ("The decision was on {when}.", "The plan is of {when}."),
)
"""Sentences of long articles that give one fact."""
COMMENTS = (
    "The {body} Party spoke of {value}.",
    "The {body} Party sees a matter of {value}.",
    "For the {body} Party, it is about {value}.",
)
"""Sentences that give no fact."""
DISTRACTORS = (
    "{who} visited {where} on {when}.",
    "{who} paid {amount} crowns in {where}.",
    "{who} won {amount} crowns on {when}.",
    "{who} toured the {topic} in {where}.",
    "{who} will return on {when}.",
    "Rain fell in {where} on {when}.",
    "Farmers in {where} lost {amount} crowns.",
    "A fair in {where} ends on {when}.",
)
"""Sentences about something else."""
SKELETONS = (
    # who, what, where, when, amount
    "{body} leader {who} {verb} the {topic} in {where} on {when} for {amount} crowns.",
    "{who} {verb} the {topic} in {where} on {when} for {amount} crowns, citing {value}.",
    "Citing {value}, {who} {verb} the {topic} in {where} on {when} for {amount} crowns.",
    "On {when}, {body} leader {who} {verb} the {topic} in {where} for {amount} crowns.",
    "In {where}, {body} leader {who} {verb} the {topic} on {when} for {amount} crowns.",
    # four facts
    "{who} {verb} the {topic} in {where} on {when}, citing {value}.",
    "{body} leader {who} {verb} the {topic} in {where} on {when}, citing {value}.",
    "In {where}, {who} {verb} the {topic} on {when}, citing {value}.",
    "{who} {verb} the {topic} in {where} on {when}. The {body} Party approved.",
    "On {when}, {who} {verb} the {topic} in {where}. The {body} Party cheered.",
    "The {topic} in {where} was {verb} by {body} leader {who} on {when}.",
    "{who} {verb} the {topic} in {where} for {amount} crowns, citing {value}.",
    "{body} leader {who} {verb} the {topic} in {where} for {amount} crowns.",
    "In {where}, {body} leader {who} {verb} the {topic} for {amount} crowns.",
    "{who} {verb} the {topic} in {where} for {amount} crowns. The {body} Party cheered.",
    "{who} {verb} the {topic} on {when} for {amount} crowns, citing {value}.",
    "On {when}, {body} leader {who} {verb} the {topic} for {amount} crowns.",
    "{who} {verb} the {topic} on {when} for {amount} crowns. The {body} Party approved.",
    "The {body} Party {verb} the {topic} in {where} on {when} for {amount} crowns.",
    # three facts
    "{who} {verb} the {topic} in {where}, citing {value}.",
    "{body} leader {who} {verb} the {topic} in {where}, citing {value}.",
    "{who} {verb} the {topic} in {where}. The {body} Party spoke of {value}.",
    "In {where}, {who} {verb} the {topic}. The {body} Party cheered.",
    "{body} leader {who} {verb} the {topic} on {when}.",
    "{who} {verb} the {topic} on {when}. The {body} Party spoke of {value}.",
    "{who} {verb} the {topic} for {amount} crowns. The {body} Party spoke of {value}.",
    "{body} leader {who} {verb} the {topic} for {amount} crowns, citing {value}.",
    "The {body} Party {verb} the {topic} in {where} on {when}, citing {value}.",
    "The {body} Party {verb} the {topic} in {where} for {amount} crowns.",
    "The {body} Party {verb} the {topic} on {when} for {amount} crowns.",
)
"""Summaries of one or two sentences, with three to five of the facts."""
