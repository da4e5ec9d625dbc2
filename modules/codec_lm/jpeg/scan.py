"""Automaton over the bytes of a baseline JPEG scan.

Blocks follow one another in the order of a minimum coded unit (MCU); MCUs form intervals. An
interval is padded with ones to the next byte, and restart markers separate intervals. A byte FF
within an interval is followed by 00.

Shape legend: S = states of all blocks of an MCU, B = the two bits, V = the 256 bytes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modules.codec_lm.jpeg.block_bits import ILLEGAL, BlockAutomaton
from modules.codec_lm.jpeg.huffman import Tables

FULL = -2
"""State at a byte boundary after the last MCU of an interval."""
MANY = 3
"""MCUs left from which on their number makes no difference to one byte: none has fewer than six
bits."""


class ByteTransitions(NamedTuple):
    """Transitions of a state by each of the 256 bytes.

    Attributes:
        state_V: State after the byte, `FULL`, or `ILLEGAL`.
        ended_V: Number of MCUs that end within the byte.
    """

    state_V: NDArray[np.int32]
    ended_V: NDArray[np.int32]


@dataclass(frozen=True)
class Scan:
    """The states of an MCU at byte boundaries, and their transitions.

    Attributes:
        tables: Codes of each component.
        blocks: Component of each block of an MCU, in order.
    """

    tables: tuple[Tables, ...]
    blocks: tuple[int, ...]

    @cached_property
    def automata(self) -> list[BlockAutomaton]:
        """One automaton a component."""
        return [BlockAutomaton(table) for table in self.tables]

    @cached_property
    def starts(self) -> list[int]:
        """Index of each block's first state, and the number of states."""
        sizes = [len(self.automata[kind].states) for kind in self.blocks]
        return [0, *np.cumsum(sizes).tolist()]

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """State after each bit, [S, 2]; `ILLEGAL`, or S at the end of the MCU."""
        parts = []
        for start, kind in zip(self.starts, self.blocks, strict=False):
            own_SB = self.automata[kind].table
            parts.append(np.where(own_SB == ILLEGAL, ILLEGAL, own_SB + start))
        return np.concatenate(parts)

    @cached_property
    def _levels(self) -> NDArray[np.int32]:
        """The same with the MCUs left: (left - 1) * S + state; then padding, then a sink."""
        num = len(self.table)
        padding, sink = MANY * num, MANY * num + 1
        levels = []
        for left in range(1, MANY + 1):
            end = padding if left == 1 else (left - 2) * num
            level_SB = np.where(self.table == num, end, self.table + (left - 1) * num)
            levels.append(np.where(self.table == ILLEGAL, sink, level_SB))
        last = [[sink, padding], [sink, sink]]
        return np.concatenate([*levels, last]).astype(np.int32)

    @cached_property
    def _transitions(self) -> dict[tuple[int, int], ByteTransitions]:
        return {}

    def transitions(self, state: int, left: int) -> ByteTransitions:
        """Transitions by one byte.

        Args:
            state: State at a byte boundary.
            left: MCUs left in the interval, the current one included.
        """
        key = state, min(left, MANY)
        if key not in self._transitions:
            self._transitions[key] = self._make_transitions(*key)
        return self._transitions[key]

    def _make_transitions(self, state: int, left: int) -> ByteTransitions:
        num = len(self.table)
        at = np.array([(left - 1) * num + state], np.int32)
        for _ in range(8):
            at = self._levels[at].reshape(-1)
        is_padded, is_legal = at == MANY * num, at <= MANY * num
        left_V = np.where(is_padded, 0, at // num + 1)
        state_V = np.select([is_padded, is_legal], [FULL, at % num], ILLEGAL)
        return ByteTransitions(
            state_V.astype(np.int32), np.where(is_legal, left - left_V, 0).astype(np.int32)
        )

    # The shortest completion of an interval

    @cached_property
    def least(self) -> list[str]:
        """The shortest bits of each block."""
        return [self.automata[kind].shortest[0] for kind in self.blocks]

    @cached_property
    def _completions(self) -> list[str]:
        """The fewest bits from each state to the end of its MCU."""
        completions = []
        for index, kind in enumerate(self.blocks):
            rest = "".join(self.least[index + 1 :])
            completions += [bits + rest for bits in self.automata[kind].shortest]
        return completions

    @cached_property
    def _stuffed(self) -> dict[tuple[int, bool], int]:
        return {}

    def cost(self, state: int, left: int) -> int:
        """The fewest bytes that complete the interval, stuffing included.

        Args:
            state: State at a byte boundary, or `FULL`.
            left: MCUs left in the interval, the current one included; 0 if `FULL`.
        """
        if state == FULL:
            return 0
        num_bits = len(self._completions[state]) + (left - 1) * len("".join(self.least))
        key = state, left > 1
        if key not in self._stuffed:
            self._stuffed[key] = self._count_stuffed(*key)
        return -(-num_bits // 8) + self._stuffed[key]

    def _count_stuffed(self, state: int, has_more: bool) -> int:
        """Bytes FF of the shortest completion; the shortest blocks have zeros in every byte."""
        bits = self._completions[state] + ("".join(self.least) if has_more else "")
        whole = [bits[at : at + 8].ljust(8, "1") for at in range(0, len(bits), 8)]
        return whole.count("1" * 8)
