"""What each byte of a JPEG file says: marker, size of a first coefficient, amplitude, and so on."""

from typing import Literal, get_args

from modules.codec_lm.byte_grammar import vote
from modules.codec_lm.jpeg.block_bits import DONE, END, START
from modules.codec_lm.jpeg.grammar import JpegGrammar, JpegState
from modules.codec_lm.jpeg.scan import Scan
from modules.codec_lm.token_grammar import ByteKinds

ByteKind = Literal["header", "marker", "stuffing", "dc", "ac", "amplitude", "end", "padding"]
"""Header; a restart or end-of-image marker; the 00 behind an FF; code of a first coefficient; code
of a run and a size; bits of a coefficient; the code that says that the rest of a block is zero;
bits that fill up a byte."""
BYTE_KINDS: tuple[ByteKind, ...] = get_args(ByteKind)


def byte_kinds(grammar: JpegGrammar, sequence: bytes) -> list[ByteKind]:
    """The class of every byte: that of most of its bits, of the first of them where two tie.

    Args:
        grammar: Of the codec.
        sequence: A file, or the beginning of one.

    Raises:
        ValueError: The grammar does not know it.
    """
    state, reader = grammar.start, BitKinds(grammar.scan)
    found: list[ByteKind | list[ByteKind]] = []
    for byte in sequence:
        following = grammar.advance(state, byte)
        if state.phase == "scan":
            found.append(reader.read(byte, grammar.left(state.done)))
        else:
            found.append(outside(state))
        if state.phase == "number":
            reader.restart()
        state = following
    return [one if isinstance(one, str) else vote(one) for one in found]


JPEG = ByteKinds(BYTE_KINDS, byte_kinds)


def outside(state: JpegState) -> ByteKind:
    """The class of a byte that holds no bits of blocks."""
    if state.phase == "header":
        return "header"
    return "stuffing" if state.phase == "stuffing" else "marker"


class BitKinds:
    """Classes of the bits of an interval.

    Args:
        scan: Its blocks and codes.
    """

    def __init__(self, scan: Scan):
        self.scan = scan
        self.restart()

    def restart(self) -> None:
        """Go to the beginning of an interval."""
        self.block = 0
        self.state = START
        self.code: list[tuple[list[ByteKind], int]] = []  # bits of the code that is being read

    def read(self, byte: int, left: int) -> list[ByteKind]:
        """The classes of a byte's bits; those of a code may change until it is whole.

        Args:
            byte: A legal one.
            left: MCUs left in the interval at its beginning.
        """
        found: list[ByteKind] = []
        for bit in f"{byte:08b}":
            if left == 0:
                found.append("padding")
                continue
            self._step(bit, found)
            if self.state == DONE:
                self.block = (self.block + 1) % len(self.scan.blocks)
                self.state = START
                left -= self.block == 0
        return found

    def _step(self, bit: str, found: list[ByteKind]) -> None:
        automaton = self.scan.automata[self.scan.blocks[self.block]]
        before, following = self.state, automaton.step(self.state, bit)
        assert following is not None
        self.state = following
        if before.pending:
            found.append("amplitude")
            return
        found.append("ac" if before.coefficient else "dc")
        self.code.append((found, len(found) - 1))
        if following.prefix:
            return
        if before.coefficient and automaton.tables.rest[before.prefix + bit] == END:
            for bits, number in self.code:
                bits[number] = "end"
        self.code = []
