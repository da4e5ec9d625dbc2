"""Minimum FLOPs and saved bytes of a step of LMFusion, from the formulas of the paper alone.

Every document has an image. Symbols: D = width, V = vocabulary, L = blocks, n = positions of a
run, HE = width of all queries of a position (D here), GE = width of all keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.baselines.fusion_cases import Size
from modules.lmfusion.network.mask import IMAGE, LATER, PREFIX, Runs

NUM_WAVES = 128
"""Sinusoidal inputs of the linear patchifier's time embedding."""


@dataclass(frozen=True)
class RunCost:
    """A run of positions, with what its cost depends on.

    Attributes:
        kind: `PREFIX`, `LATER` or `IMAGE`.
        length: n, without the last token of a document, which no query attends to.
        before: Positions of the document before the run.
        prefix: Those among them that depend on no trained parameter.
        num_marks: BOI and EOI among its positions.
        num_read: Positions whose final hidden state is used: patches, and text with a label.
    """

    kind: int
    length: int
    before: int
    prefix: int
    num_marks: int
    num_read: int

    def pairs(self, num_queries: int) -> int:
        """Query-key pairs of the run's first queries under the hybrid mask."""
        if self.kind == IMAGE:
            return num_queries * (self.before + self.length)
        return num_queries * self.before + num_queries * (num_queries + 1) // 2


def run_costs(runs: Runs, frozen: bool) -> Iterator[RunCost]:
    """The runs in order; where the text is trained, nothing is a prefix."""
    before = prefix = 0
    kinds, documents = [*runs.kind_N, -1], [*runs.document_N, -1]
    for i, whole in enumerate(runs.length_N):
        if i == 0 or documents[i - 1] != documents[i]:
            before = prefix = 0
        kind, ends = kinds[i], documents[i + 1] != documents[i]
        length = whole - (ends and kind != IMAGE)
        opens = kind == LATER and not ends  # its last token is BOI, which a patch follows
        closes = kind == LATER and before > 0 and kinds[i - 1] == IMAGE
        yield RunCost(kind, length, before, prefix, opens + closes, length - opens)
        before += whole
        prefix += whole * (kind == PREFIX and frozen)


def least_flops(size: Size, runs: Runs, frozen: bool = True) -> int:
    """FLOPs of one forward and backward; a multiplication with its addition counts as two.

    A linear layer with w weights costs 2 w a position forward, 2 w for the gradient of its input
    and 2 w for that of its weights. Attention costs 2 HE a pair in each of two products forward
    (scores, weighted values) and four backward (gradients of weights, queries, keys, values).

    - Prefix text and its keys and values need no gradient: forward only. In the last block only
      keys and values are computed; the final hidden state is not used.
    - Later text propagates gradients through frozen weights: forward and inputs' gradients, and
      all three where it is trained. In the first block only BOI and EOI, which are trained vectors,
      need a gradient of their input. In the last block only positions with a label are completed.
    - Patches: all three.
    - The output layer: positions of later text that have a label, and one trained row for BOI.
    - The patchifier: all three, but none for the input of its first layer, the sinusoids of the
      step.

    Nothing is recomputed: a fused attention kernel, which recomputes its scores, is above this
    minimum. Norms, activations, sums, softmax and losses are not counted. In the first block of
    later text, attention's gradients of queries and keys are counted though text needs none.
    """
    total = patchifier_flops(size, runs.lengths(IMAGE))
    for run in run_costs(runs, frozen):
        if run.kind == PREFIX and frozen:
            total += prefix_flops(size, run)
        else:
            total += live_flops(size, run, frozen)
    return total


def weights(size: Size) -> tuple[int, int]:
    """Weights of one block: those of keys and values, and all others."""
    keys = 2 * size.width * size.key_width
    return keys, 2 * size.width**2 + 3 * size.width * size.intermediate


def prefix_flops(size: Size, run: RunCost) -> int:
    """Forward through all blocks; keys and values alone in the last one."""
    keys, rest = weights(size)
    inner = 2 * run.length * (keys + rest) + 4 * size.width * run.pairs(run.length)
    return (size.num_layers - 1) * inner + 2 * run.length * keys


def live_flops(size: Size, run: RunCost, frozen: bool) -> int:
    """Forward and backward through all blocks, and the output layer."""
    keys, rest = weights(size)
    is_text = run.kind != IMAGE
    passes = 2 if is_text and frozen else 3
    num_full = (size.num_layers - 1) * run.length
    linear = 2 * passes * (num_full * (keys + rest) + run.length * keys + run.num_read * rest)
    if is_text and frozen:
        linear -= 2 * (run.length - run.num_marks) * (keys + size.width**2)
    head = is_text * run.num_read * size.width * (2 * passes * size.vocab_size + 6)
    full = attention_flops(size, run, run.length)
    return linear + head + (size.num_layers - 1) * full + attention_flops(size, run, run.num_read)


def attention_flops(size: Size, run: RunCost, num_queries: int) -> int:
    """Four products over all pairs; two more (dK and dV) over the pairs without the prefix."""
    pairs = run.pairs(num_queries)
    return 2 * size.width * (4 * pairs + 2 * (pairs - num_queries * run.prefix))


def patchifier_flops(size: Size, length_I: list[int]) -> int:
    """One linear layer down and one up per patch, and two per image for its step."""
    inputs = size.channels * size.patch**2
    time = len(length_I) * inputs * (4 * NUM_WAVES + 6 * inputs)
    return time + 12 * inputs * size.width * sum(length_I)


def least_bytes(size: Size, runs: Runs, element_size: int = 4) -> int:
    """Bytes that must be saved for backward next to a frozen language model.

    Saved is what the derivative of each operator of the paper's formulas needs, each tensor once.
    Nothing is recomputed but attention's weights (as in a fused kernel).

    - A norm: its output before the gain, and one number a position.
    - A linear layer: its input where its weights are trained, else nothing. Q, K and V share one.
    - Attention: queries, output, one number a head; keys and values of all positions that a query
      with a gradient attends to. Text before the first image saves these and nothing else.
    - silu(g) * u: g, silu(g) and u; the product is the input of the next layer.
    - Cross-entropy: log-probabilities of positions with a label. Squared error: the difference.
    - In the first block, text without a gradient of its input needs nothing for its first norm.
      In the last one, positions whose final state is not used save only what their keys and
      values need.

    Parameters, indices and the tables of the rotary embedding are not counted.
    """
    elements = len(runs.lengths(IMAGE)) * (NUM_WAVES + 2 * size.channels * size.patch**2)
    for run in run_costs(runs, frozen=True):
        elements += size.num_layers * 2 * size.key_width * run.length
        elements += 0 if run.kind == PREFIX else live_elements(size, run)
    return element_size * elements


def live_elements(size: Size, run: RunCost) -> int:
    """Elements that the positions of a run save, without keys and values."""
    norm, is_image = size.width + 1, run.kind == IMAGE
    first = norm + is_image * size.width
    attended = 2 * size.width + size.num_heads
    rest = attended + norm + 3 * size.intermediate + is_image * (size.width + size.intermediate)
    num_full = (size.num_layers - 1) * run.length
    total = (num_full + run.length) * first + (num_full + run.num_read) * rest
    if is_image:  # the final norm, the patchifier up and down, the error
        return total + run.length * (norm + size.width + 2 * size.channels * size.patch**2)
    total -= (run.length - run.num_marks) * norm
    return total + run.num_read * (norm + size.width + size.vocab_size + 1)
