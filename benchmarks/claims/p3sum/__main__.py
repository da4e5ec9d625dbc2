"""P^3Sum's claims at laptop scale: `python -m benchmarks.claims.p3sum`.

On synthetic news an exact reader knows the facts and the stance of every text, and half of the
training summaries change the stance of their article.

1. A summariser steered by a classifier keeps the article's stance, at hardly any cost in facts
   (configs/p3sum/tiny.yaml): against no steering, best of n of the same model chosen by the same
   classifier, a causal language model of the same size and training operations with best of n,
   and the first two sentences.
2. It is steered to a stance that the article does not have.
3. Without self-conditioning it is worse (the paper's ablation).
4. What else could tell a model the stance: a stance token with classifier-free guidance, and a
   causal language model with stance experts.
5. It keeps the stance of longer articles by a guide that errs, over three seeds of training.
6. What each option of training and generation changes: no claim of the paper's.
7. It is steered to a stance that the article does not have, by that guide and by one without
   errors.
8. What a judge reads that errs as well is the exact reader's figure, once it is corrected.
9. On real news, by a judge of other outlets than the guide's, steering keeps the stance too.
"""

from collections.abc import Callable

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.p3sum.conditioning import without_conditioning
from benchmarks.claims.p3sum.frontier import frontier
from benchmarks.claims.p3sum.hard import hard
from benchmarks.claims.p3sum.judge import judge
from benchmarks.claims.p3sum.news import news
from benchmarks.claims.p3sum.rates import Claims
from benchmarks.claims.p3sum.stance import kept_stance
from benchmarks.claims.p3sum.switches import switches

PARTS: dict[str, Callable[[Claims], None]] = {
    "stance": kept_stance,
    "conditioning": without_conditioning,
    "frontier": frontier,
    "judge": judge,
    "hard": hard,
    "switches": switches,
    "news": news,
}
"""What may run alone; a part is a function that adds its rows."""


def measure(bench: Bench) -> None:
    """Stance kept by steering, against what else could keep it; parts say how long they take."""
    claims = Claims(bench)
    for name, part in PARTS.items():
        if bench.wants(name):
            part(claims)


if __name__ == "__main__":
    run("claims.p3sum", measure, parts=[*PARTS])
