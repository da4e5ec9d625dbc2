"""A page to read: the first and the last documents of each iteration, coloured token by token."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from engine.disk.whole import whole
from modules.icl.selection.pool import CandidatePool
from modules.icl.selection.scoring import Columns
from modules.icl.selection.token_parts import TokenParts

BLUE, ORANGE = (20, 100, 210), (225, 100, 0)
"""Of tokens that point where the task points, and of those that point away."""
DEEPEST = 0.75
"""Opacity of the deepest colour: black text has to be read on it."""
FULL = 0.98
"""Share of the tokens of a page that are less than the deepest colour."""
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #111; background: #fff; }
article { border-top: 1px solid #ccc; padding: .6rem 0; }
header { color: #555; font-size: .85rem; }
header b { color: #111; }
.tokens span { display: inline-block; padding: 0 .25em; margin: 1px; border-radius: 3px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
"""
ABOUT = (
    "The colour of a token is what passes through its position in the cosine of the gradient of the"
    " document's loss and the gradient of the task's in-context loss: the losses of all tokens"
    " after it count. The numbers of a document sum to its cosine; they appear under the pointer."
)
PROJECTED = " Scores are of projected gradients; here, numbers sum to the exact cosine."


def write_page(
    columns: Columns,
    shown: Sequence[Sequence[TokenParts]],
    pool: CandidatePool,
    path: Path,
    are_exact: bool = True,
) -> None:
    """Write the page, all or nothing.

    Args:
        columns: Scores of all documents.
        shown: Of each iteration, the documents of the highest scores, then those of the lowest.
        pool: The documents.
        path: Of the page.
        are_exact: Whether scores are of whole gradients, not of projected ones.
    """
    scale = deepest(part for some in shown for one in some for part in one.parts)
    body = "\n".join(
        line
        for number, some in enumerate(shown, 1)
        for line in iteration(columns, some, pool, number, scale)
    )
    legend = f"{chip('towards the task', scale, scale)} {chip('away from it', -scale, scale)}"
    with whole(path) as draft:
        draft.write_text(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>Selected documents</title><style>{STYLE}</style></head><body>\n"
            f"<h1>Selected documents</h1>\n<p>{ABOUT if are_exact else ABOUT + PROJECTED}</p>\n"
            f'<p class="tokens">{legend}</p>\n{body}\n</body></html>\n',
            encoding="utf-8",
        )


def iteration(
    columns: Columns, shown: Sequence[TokenParts], pool: CandidatePool, number: int, scale: float
) -> Iterator[str]:
    """The two lists of an iteration."""
    half = (len(shown) + 1) // 2
    for title, some in (("highest", shown[:half]), ("lowest", shown[half:])):
        yield f"<h2>Iteration {number}, {title} scores</h2>"
        yield from (article(columns, one, pool, number, scale) for one in some)


def article(
    columns: Columns, one: TokenParts, pool: CandidatePool, number: int, scale: float
) -> str:
    """A document with its scores."""
    n = one.document
    facts = (
        f"<b>cosine {columns[f'cosine_{number}'][n]:.4f}</b>, loss {columns['loss'][n]:.3f} nats a"
        f" token, length of the gradient {columns['norm'][n]:.3g}; {escape(pool.ids[n])}"
    )
    pairs = zip(one.tokens, one.parts, strict=True)
    chips = " ".join(chip(token, part, scale) for token, part in pairs)
    return f'<article><header>{facts}</header><div class="tokens">{chips}</div></article>'


def chip(token: str, part: float, scale: float) -> str:
    """A token on its colour."""
    red, green, blue = BLUE if part > 0 else ORANGE
    depth = DEEPEST * min(1.0, abs(part) / scale)
    colour = f"background:rgba({red},{green},{blue},{depth:.2f})"
    return f'<span style="{colour}" title="{part:+.5f}">{escape(token)}</span>'


def deepest(parts: Iterator[float]) -> float:
    """The part that has the deepest colour: larger ones are few."""
    sizes = sorted(abs(part) for part in parts)
    return sizes[int(FULL * (len(sizes) - 1))] or 1.0 if sizes else 1.0
