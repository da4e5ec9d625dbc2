"""Records of texts and choices of a model at an endpoint, and their totals."""

from collections.abc import Mapping, Sequence

from modules.decoding.black_box.choices import Answer, accuracy
from modules.decoding.black_box.decode import Continuation
from modules.decoding.records import Record, Totals


def written(found: Continuation, per_token: bool) -> Record:
    """A text with its counts, ready for JSON; its tokens on request."""
    tokens = [
        {
            "token": one.text,
            "p": round(one.p, 6),
            "low": round(one.low, 6),
            "high": round(one.high, 6),
            "certain": one.certain,
        }
        for one in found.tokens
    ]
    return {
        **({"tokens": tokens} if per_token else {}),
        "num_tokens": len(found.tokens),
        "num_certain": sum(one.certain for one in found.tokens),
        "num_unknown": sum(one.unknown for one in found.tokens),
        "num_listed": sum(one.listed for one in found.tokens),
        "num_read_otherwise": sum(not one.read_back for one in found.tokens),
        "certain": found.is_certain,
        "ended": found.ended,
        "continuation": found.text,
    }


def chosen(found: Answer, right: str | None) -> Record:
    """An answer to a question with choices, ready for JSON.

    Args:
        found: The answer.
        right: The right one, if known.
    """
    return {
        "probability": {name: round(p, 6) for name, p in found.probability.items()},
        "dropped": found.dropped,
        "num_unknown": found.unknown,
        "certain": found.certain,
        "right": right,
        "base_choice": found.base_choice,
        "choice": found.choice,
    }


COUNTED = ("tokens", "listed", "unknown", "read_otherwise")
"""Counts over the tokens of all texts."""


def advice(counted: Mapping[str, int]) -> list[str]:
    """Advice if listed tokens were lost or chosen ones were read as others."""
    lines = []
    if counted["unknown"]:
        lines.append(
            f"unknown      {counted['unknown']} of {counted['listed']} listed tokens could not be "
            "identified by their text and were left out; request ids: vLLM gives them by "
            "extra: {return_tokens_as_token_ids: true} with as_ids: true, llama.cpp always does; "
            "or name the one form in which the endpoint writes tokens (forms)"
        )
    if counted["read_otherwise"]:
        lines.append(
            f"read anew    before {counted['read_otherwise']} of {counted['tokens']} tokens the "
            "endpoint read the text as other tokens than were chosen, so that nothing is certain "
            "of them; give it ids (as_ids: true) if it takes them"
        )
    return lines


def totals(records: Sequence[Record]) -> Totals:
    """Numbers of texts and choices, and how many of them are certain and right."""
    texts = [one for one in records if "ended" in one]
    picked = [one for one in records if "choice" in one]
    tested = [one for one in picked if one["right"] is not None]
    lines, row = list[str](), dict[str, float]()
    if texts:
        row |= {"texts": len(texts), "certain_texts": sum(one["certain"] for one in texts)}
        lines.append(f"texts        {len(texts)}, of which {row['certain_texts']} are certain")
        counted = {name: sum(one.get(f"num_{name}", 0) for one in texts) for name in COUNTED}
        row |= {f"{name}_tokens" if name != "tokens" else name: n for name, n in counted.items()}
        lines += advice(counted)
    if picked:
        row |= {"choices": len(picked), "certain_choices": sum(one["certain"] for one in picked)}
        lines.append(f"choices      {len(picked)}, of which {row['certain_choices']} are certain")
    if tested:
        for name in ("base_choice", "choice"):
            found = accuracy([one[name] for one in tested], [one["right"] for one in tested])
            row |= {f"{name}_accuracy": found.of_all, f"{name}_unanswered": found.unanswered}
            lines.append(
                f"{name:12} {found.of_all:.1%} right of {found.num}, {found.of_answered:.1%} of "
                f"those answered; {found.unanswered} without an answer"
            )
    return Totals("\n".join(lines), row)
