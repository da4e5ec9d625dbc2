"""Claims about supportive pretraining data at laptop scale: `python -m benchmarks.claims.icl`.

1. Documents whose gradients point where the gradient of an in-context task points are those that
   were planted to teach it.
2. Training on them makes in-context learning better than training on random ones (Han et al., 2023,
   table 1).
3. What needs no context is not harmed (their table 2).
4. What is selected has more rare tokens, gains less from long contexts, and is no nearer to the
   task (their sec. 4).
5. What is learned is to learn: labels that no fact gives are told by demonstrations. Heads that
   copy copy more.
6. Scores of documents predict what training on them does: linear datamodelling score, and the loss
   after the best are left out.
7. Fewer parameters, adapters and random projections rank as the exact gradient does.
"""

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.icl.analyses import analyses
from benchmarks.claims.icl.approximations import approximations
from benchmarks.claims.icl.copying import copying
from benchmarks.claims.icl.demonstrations import demonstrations
from benchmarks.claims.icl.planted import planted
from benchmarks.claims.icl.retraining import retraining

PARTS = {
    "planted": planted,
    "analyses": analyses,
    "demonstrations": demonstrations,
    "copying": copying,
    "retraining": retraining,
    "approximations": approximations,
}
"""What may run alone; a part is a function that adds its rows."""


def measure(bench: Bench) -> None:
    """Three models of their own, each with its own pools; parts say how long they take."""
    for name, part in PARTS.items():
        if bench.wants(name):
            part(bench)


if __name__ == "__main__":
    run("claims.icl", measure, parts=[*PARTS])
