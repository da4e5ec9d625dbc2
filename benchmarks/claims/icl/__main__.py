"""Claims about supportive pretraining data at laptop scale: `python -m benchmarks.claims.icl`.

1. Documents whose gradients point where the gradient of an in-context task points are those that
   were planted to teach it.
2. Training on them makes in-context learning better than training on random ones (Han et al., 2023,
   table 1).
3. What needs no context is not harmed (their table 2).
4. What is selected has more rare tokens, gains less from long contexts, and is no nearer to the
   task (their sec. 4).
"""

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.icl.analyses import analyses
from benchmarks.claims.icl.planted import planted

PARTS = {"planted": planted, "analyses": analyses}
"""What may run alone; a part is a function that adds its rows."""


def measure(bench: Bench) -> None:
    """Three models of their own, each with its own pools; parts say how long they take."""
    for name, part in PARTS.items():
        if bench.wants(name):
            part(bench)


if __name__ == "__main__":
    run("claims.icl", measure, parts=[*PARTS])
