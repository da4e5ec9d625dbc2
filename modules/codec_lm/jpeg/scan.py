"""Which byte may follow which in a baseline JPEG scan.

Blocks follow one another in the order of a minimum coded unit (MCU); MCUs make intervals. An
interval ends in ones up to the next whole byte, and a restart marker parts it from the next one. A
byte FF inside an interval is followed by 00.

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
"""State at a whole byte behind the last MCU of an interval."""
MANY = 3
"""MCUs left, at which it makes no difference to one byte how many more there are: none is shorter
than six bits."""


class ByteTransitions(NamedTuple):
    """Where each of the 256 bytes leads from a state.

    Attributes:
        state_V: State at the next whole byte, `FULL`, or `ILLEGAL`.
        ended_V: MCUs that the byte ends.
    """

    state_V: NDArray[np.int32]
    ended_V: NDArray[np.int32]


@dataclass(frozen=True)
class Scan:
    """The states of an MCU, at whole bytes, and where bytes lead.

    Attributes:
        tables: Codes of each kind of component.
        blocks: Kind of component of each block of an MCU, in order.
    """

    tables: tuple[Tables, ...]
    blocks: tuple[int, ...]

    @cached_property
    def automata(self) -> list[BlockAutomaton]:
        """One a kind of component."""
        return [BlockAutomaton(table) for table in self.tables]

    @cached_property
    def starts(self) -> list[int]:
        """Number of each block's first state, and one past all."""
        sizes = [len(self.automata[kind].states) for kind in self.blocks]
        return [0, *np.cumsum(sizes).tolist()]

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """State after each bit, `ILLEGAL` where not legal; the number of states at an MCU's end."""
        parts = []
        for start, kind in zip(self.starts, self.blocks, strict=False):
            own_SB = self.automata[kind].table
            parts.append(np.where(own_SB == ILLEGAL, ILLEGAL, own_SB + start))
        return np.concatenate(parts)

    @cached_property
    def _levels(self) -> NDArray[np.int32]:
        """The same with MCUs left counted: (left - 1) * S + state, then padding, then nowhere."""
        num = len(self.table)
        padding, nowhere = MANY * num, MANY * num + 1
        levels = []
        for left in range(1, MANY + 1):
            end = padding if left == 1 else (left - 2) * num
            level_SB = np.where(self.table == num, end, self.table + (left - 1) * num)
            levels.append(np.where(self.table == ILLEGAL, nowhere, level_SB))
        last = [[nowhere, padding], [nowhere, nowhere]]
        return np.concatenate([*levels, last]).astype(np.int32)

    @cached_property
    def _transitions(self) -> dict[tuple[int, int], ByteTransitions]:
        return {}

    def transitions(self, state: int, left: int) -> ByteTransitions:
        """Where bytes lead.

        Args:
            state: At a whole byte.
            left: MCUs left in the interval, this one included.
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

    # The shortest way to an interval's end

    @cached_property
    def least(self) -> list[str]:
        """The fewest bits of each block."""
        return [self.automata[kind].shortest[0] for kind in self.blocks]

    @cached_property
    def _ways(self) -> list[str]:
        """The fewest bits from each state to the end of its MCU."""
        found = []
        for number, kind in enumerate(self.blocks):
            rest = "".join(self.least[number + 1 :])
            found += [way + rest for way in self.automata[kind].shortest]
        return found

    @cached_property
    def _stuffed(self) -> dict[tuple[int, bool], int]:
        return {}

    def cost(self, state: int, left: int) -> int:
        """The fewest bytes to the end of the interval, stuffing included.

        Args:
            state: At a whole byte, or `FULL`.
            left: MCUs left in the interval, this one included; 0 if `FULL`.
        """
        if state == FULL:
            return 0
        num_bits = len(self._ways[state]) + (left - 1) * len("".join(self.least))
        key = state, left > 1
        if key not in self._stuffed:
            self._stuffed[key] = self._count_stuffed(*key)
        return -(-num_bits // 8) + self._stuffed[key]

    def _count_stuffed(self, state: int, has_more: bool) -> int:
        """Bytes FF on the shortest way; the shortest blocks have zeros in every byte."""
        bits = self._ways[state] + ("".join(self.least) if has_more else "")
        whole = [bits[at : at + 8].ljust(8, "1") for at in range(0, len(bits), 8)]
        return whole.count("1" * 8)
