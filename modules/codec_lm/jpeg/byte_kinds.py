"""The kind of each byte of a JPEG file: marker, code of a DC coefficient, amplitude and so on."""

from typing import Literal, get_args

from modules.codec_lm.byte_grammar import vote
from modules.codec_lm.jpeg.block_bits import DONE, END, START
from modules.codec_lm.jpeg.grammar import JpegGrammar, JpegState
from modules.codec_lm.jpeg.scan import Scan
from modules.codec_lm.token_grammar import ByteKinds

ByteKind = Literal["header", "marker", "stuffing", "dc", "ac", "amplitude", "end", "padding"]
"""Header; a restart or end-of-image marker; the 00 after an FF; code of a DC coefficient's size;
code of an AC coefficient's run and size; value bits of a coefficient; end-of-block code; bits that
pad the last byte of an interval."""
BYTE_KINDS: tuple[ByteKind, ...] = get_args(ByteKind)


def byte_kinds(grammar: JpegGrammar, sequence: bytes) -> list[ByteKind]:
    """The kind of every byte: that of most of its bits, of the first of them in a tie.

    Args:
        grammar: The codec's grammar.
        sequence: A file, or a prefix of one.

    Raises:
        ValueError: The grammar does not accept it.
    """
    state, reader = grammar.start, BitKinds(grammar.scan)
    kinds: list[ByteKind | list[ByteKind]] = []  # lists of bits change until their code ends
    for byte in sequence:
        following = grammar.advance(state, byte)
        if state.phase == "scan":
            kinds.append(reader.read(byte, grammar.left(state.done)))
        else:
            kinds.append(outside(state))
        if state.phase == "number":
            reader.restart()
        state = following
    return [kind if isinstance(kind, str) else vote(kind) for kind in kinds]


JPEG = ByteKinds(BYTE_KINDS, byte_kinds)


def outside(state: JpegState) -> ByteKind:
    """The kind of a byte that holds no bits of blocks."""
    if state.phase == "header":
        return "header"
    return "stuffing" if state.phase == "stuffing" else "marker"


class BitKinds:
    """Reads the kinds of the bits of an interval between restart markers.

    Args:
        scan: Blocks and codes.
    """

    def __init__(self, scan: Scan):
        self.scan = scan
        self.restart()

    def restart(self) -> None:
        """Go to the start of an interval."""
        self.block = 0
        self.state = START
        self.code: list[tuple[list[ByteKind], int]] = []  # bits of the current code word

    def read(self, byte: int, left: int) -> list[ByteKind]:
        """The kinds of a byte's bits; those of a code word may change until it is complete.

        Args:
            byte: A legal byte.
            left: MCUs left in the interval before this byte.
        """
        kinds: list[ByteKind] = []
        for bit in f"{byte:08b}":
            if left == 0:
                kinds.append("padding")
                continue
            self._step(bit, kinds)
            if self.state == DONE:
                self.block = (self.block + 1) % len(self.scan.blocks)
                self.state = START
                left -= self.block == 0
        return kinds

    def _step(self, bit: str, kinds: list[ByteKind]) -> None:
        automaton = self.scan.automata[self.scan.blocks[self.block]]
        before, following = self.state, automaton.step(self.state, bit)
        assert following is not None
        self.state = following
        if before.pending:
            kinds.append("amplitude")
            return
        kinds.append("ac" if before.coefficient else "dc")
        self.code.append((kinds, len(kinds) - 1))
        if following.prefix:
            return
        if before.coefficient and automaton.tables.rest[before.prefix + bit] == END:
            for bits, index in self.code:
                bits[index] = "end"
        self.code = []
