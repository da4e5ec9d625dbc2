"""Automaton over the bits of a block of a baseline JPEG scan.

A block is the size of the DC coefficient and as many bits of its value; then run lengths of zeros,
each with the size of the next AC coefficient and as many bits of its value; until all 64 are
written or an end-of-block symbol sets the rest to zero (ITU-T T.81, F.1.2). A prefix of a code word
is legal only if it begins some symbol that still fits: otherwise legal bits could reach a dead end.
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
"""Symbols: end of block (the rest is zero); a run of sixteen zeros."""
ILLEGAL = -1
"""No state."""


class BlockState(NamedTuple):
    """Position within a block.

    Attributes:
        coefficient: Index of the next coefficient, 0 to 64; 64 is the end of the block.
        prefix: Bits of the current code word so far.
        pending: Value bits of the previous coefficient that are still to come.
    """

    coefficient: int
    prefix: str = ""
    pending: int = 0


START, DONE = BlockState(0), BlockState(NUM_COEFFICIENTS)


@dataclass(frozen=True)
class BlockAutomaton:
    """All states of a block, and their transitions.

    Attributes:
        tables: The Huffman codes.
    """

    tables: Tables

    def step(self, state: BlockState, bit: str) -> BlockState | None:
        """The state after a bit; None if the bit is not legal."""
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
        """The state after a complete symbol; None if the block has no room for it."""
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
        """The code words that begin with a prefix, with their symbols."""
        return self._longer[id(code)].get(prefix, [])

    @cached_property
    def _longer(self) -> dict[int, dict[str, list[tuple[str, int]]]]:
        by_code: dict[int, dict[str, list[tuple[str, int]]]] = {}
        for code in (self.tables.first, self.tables.rest):
            by_prefix = by_code.setdefault(id(code), {})
            for word, symbol in code.items():
                for length in range(len(word)):
                    by_prefix.setdefault(word[:length], []).append((word, symbol))
        return by_code

    @cached_property
    def states(self) -> list[BlockState]:
        """All reachable states, the initial one first, without the end of the block."""
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
        index = {state: n for n, state in enumerate(self.states)} | {DONE: len(self.states)}
        rows = [[self.step(state, bit) for bit in "01"] for state in self.states]
        return np.array(
            [[ILLEGAL if s is None else index[s] for s in row] for row in rows], np.int32
        )

    @cached_property
    def shortest(self) -> list[str]:
        """The fewest bits from each state to the end of the block, zeros preferred to ones.

        Without its first bit, each is the completion of the state that this bit leads to.
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
