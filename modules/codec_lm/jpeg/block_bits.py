"""Which bit may follow which in a block of a baseline JPEG scan, as a table.

A block is a size and as many bits of a first coefficient, then runs of zeros, each with a size and
as many bits of the coefficient behind it, until the 64 are full or a symbol says that the rest is
zero (ITU-T T.81, F.1.2). A prefix of a code is legal only if some symbol that still fits begins
with it: without that, a writer that takes legal bits can get stuck.
"""

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modules.codec_lm.jpeg.huffman import Code, Tables

NUM_COEFFICIENTS = 64
END, ZEROS = 0x00, 0xF0
"""Symbols: all that is left is zero; sixteen zeros."""
ILLEGAL = -1
"""No state."""


class BlockState(NamedTuple):
    """Where in a block a writer stands.

    Attributes:
        coefficient: The next one to be written, 0 to 64; 64 is the end of the block.
        prefix: Bits of a symbol written so far.
        pending: Bits of a coefficient still to come, before `coefficient` is.
    """

    coefficient: int
    prefix: str = ""
    pending: int = 0


START, DONE = BlockState(0), BlockState(NUM_COEFFICIENTS)


@dataclass(frozen=True)
class BlockAutomaton:
    """All states of a block and where each bit leads.

    Attributes:
        tables: The codes.
    """

    tables: Tables

    def step(self, state: BlockState, bit: str) -> BlockState | None:
        """Where a bit leads; None where it is not legal."""
        if state.pending:
            return BlockState(state.coefficient, "", state.pending - 1)
        prefix = state.prefix + bit
        code = self.tables.rest if state.coefficient else self.tables.first
        if prefix in code:
            return self.after(state.coefficient, code[prefix])
        fits = any(
            word.startswith(prefix) and self.after(state.coefficient, symbol) is not None
            for word, symbol in self.longer(code, prefix)
        )
        return BlockState(state.coefficient, prefix) if fits else None

    @staticmethod
    def after(coefficient: int, symbol: int) -> BlockState | None:
        """The state behind a whole symbol; None where the block has no room for it."""
        if coefficient == 0:
            return BlockState(1, "", symbol)
        if symbol == END:
            return DONE
        run, size = divmod(symbol, 16)
        following = coefficient + run + 1
        is_known = size > 0 or symbol == ZEROS
        room = NUM_COEFFICIENTS if size > 0 else NUM_COEFFICIENTS - 1
        return BlockState(following, "", size) if is_known and following <= room else None

    def longer(self, code: Code, prefix: str) -> list[tuple[str, int]]:
        """The words of a code that begin with a prefix."""
        return self._longer[id(code)].get(prefix, [])

    @cached_property
    def _longer(self) -> dict[int, dict[str, list[tuple[str, int]]]]:
        found: dict[int, dict[str, list[tuple[str, int]]]] = {}
        for code in (self.tables.first, self.tables.rest):
            of = found.setdefault(id(code), {})
            for word, symbol in code.items():
                for length in range(len(word)):
                    of.setdefault(word[:length], []).append((word, symbol))
        return found

    @cached_property
    def states(self) -> list[BlockState]:
        """All that can be reached, the first one first; without the end of the block."""
        seen, queue = {START: None}, deque([START])
        while queue:
            state = queue.popleft()
            for bit in "01":
                following = self.step(state, bit)
                if following not in seen and following not in (None, DONE):
                    assert following is not None
                    seen[following] = None
                    queue.append(following)
        return list(seen)

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """Index of the state after each bit, [S, 2]; S at the block's end; or `ILLEGAL`."""
        number = {state: n for n, state in enumerate(self.states)} | {DONE: len(self.states)}
        rows = [[self.step(state, bit) for bit in "01"] for state in self.states]
        return np.array(
            [[ILLEGAL if s is None else number[s] for s in row] for row in rows], np.int32
        )

    @cached_property
    def shortest(self) -> list[str]:
        """The fewest bits to the block's end from each state, zeros before ones.

        What is left of one such text after its first bit is that of the next state.
        """
        steps, num = self.table.tolist(), len(self.states)
        before: list[list[int]] = [[] for _ in range(num + 1)]
        for state, row in enumerate(steps):
            for following in row:
                if following != ILLEGAL:
                    before[following].append(state)
        length: list[int | None] = [None] * num + [0]
        queue = deque([num])
        order = []
        while queue:
            here = queue.popleft()
            for state in before[here]:
                if length[state] is None:
                    length[state] = (length[here] or 0) + 1
                    queue.append(state)
                    order.append(state)
        text = [""] * (num + 1)
        for state in order:  # nearest first
            best = min((length[s], bit, s) for bit, s in enumerate(steps[state]) if s != ILLEGAL)
            text[state] = f"{best[1]}{text[best[2]]}"
        return text[:num]
