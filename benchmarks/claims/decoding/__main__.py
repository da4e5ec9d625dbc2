"""Claims about decoding at laptop scale: `python -m benchmarks.claims.decoding`.

1. Proxy-tuning: a small tuned model and the small untuned one move a large model most of the way
   to where tuning would bring it (Liu et al., 2024, table 2).
2. Context-aware decoding: a context overrides memorised facts (Shi et al., 2024,
   table 3).
3. In-context alignment: retrieved demonstrations are better than random ones, and those better than
   none (Han, 2023).
"""

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.decoding import alignment, contradictions, proxy

PARTS = {
    "proxy": proxy.measure,
    "contradictions": contradictions.measure,
    "alignment": alignment.measure,
}


def measure(bench: Bench) -> None:
    """The claims of three decoding methods; at most 45 minutes on two cores at size 1."""
    for name, part in PARTS.items():
        if bench.wants(name):
            part(bench)


if __name__ == "__main__":
    run("claims.decoding", measure, sized=True, parts=tuple(PARTS), apart=True)
