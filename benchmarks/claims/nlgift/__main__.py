"""Claims about graph problems: `python -m benchmarks.claims.nlgift`.

1. The checkers accept no wrong answer and refuse no right one, of at least 10,000 planted answers a
   task; NLGraph's own answers are right where they are.
"""

from collections.abc import Callable

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.nlgift.audit import audit

PARTS: dict[str, Callable[[Bench], None]] = {"audit": audit}
"""What may run alone; a part is a function that adds its rows."""


def measure(bench: Bench) -> None:
    """Checkers, problems, and what models learn from them."""
    for name, part in PARTS.items():
        if bench.wants(name):
            part(bench)


if __name__ == "__main__":
    run("claims.nlgift", measure, parts=[*PARTS])
