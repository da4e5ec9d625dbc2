"""Claims about graph problems: `python -m benchmarks.claims.nlgift`.

1. The checkers accept no wrong answer and refuse no right one, of at least 10,000 planted answers a
   task; NLGraph's own answers are right where they are.
2. What models learn transfers along the semantic, numerical, structural and reasoning axes
   (2406.15992, sec. 4): a part each.
3. Code, own right answers and preferences help beyond plain tuning (its sec. 5).
4. No shortcut tells whether two nodes are connected, or whether there is a cycle.
"""

from collections.abc import Callable

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.nlgift.audit import audit
from benchmarks.claims.nlgift.grids import SMALLER, part_of
from benchmarks.claims.nlgift.shortcuts import shortcuts
from benchmarks.claims.nlgift.strategies import strategies

PARTS: dict[str, Callable[[Bench], None]] = {
    "audit": audit,
    "shortcuts": shortcuts,
    **{name: part_of(name) for name in SMALLER},
    "strategies": strategies,
}
"""What may run alone; a part is a function that adds its rows."""


def measure(bench: Bench) -> None:
    """Checkers, problems, and what models learn from them."""
    for name, part in PARTS.items():
        if bench.wants(name):
            part(bench)


if __name__ == "__main__":
    run("claims.nlgift", measure, sized=True, parts=[*PARTS])
