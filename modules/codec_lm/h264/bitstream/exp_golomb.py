"""Exp-Golomb and fixed-length codes of H.264 (ITU-T H.264, 9.1), as strings of 0 and 1."""


def unsigned(number: int) -> str:
    """Unsigned Exp-Golomb code, ue(v): n + 1 in binary, after one zero less than it has bits."""
    word = f"{number + 1:b}"
    return "0" * (len(word) - 1) + word


def fixed(number: int, width: int) -> str:
    """An unsigned number in `width` bits, u(n)."""
    return f"{number:0{width}b}" if width else ""


class BitReader:
    """Reads such numbers one after another.

    Args:
        payload: Payload of a unit, without emulation prevention bytes.

    Raises:
        ValueError: By all methods: the payload is truncated.
    """

    def __init__(self, payload: bytes):
        self.bits = "".join(f"{byte:08b}" for byte in payload)
        self.at = 0

    def fixed(self, width: int) -> int:
        """An unsigned number of `width` bits."""
        if self.at + width > len(self.bits):
            raise ValueError(f"the unit breaks off after {len(self.bits)} bits.")
        self.at += width
        return int(self.bits[self.at - width : self.at] or "0", 2)

    def unsigned(self) -> int:
        """An unsigned Exp-Golomb number."""
        num_zeros = 0
        while not self.fixed(1):
            num_zeros += 1
        return (1 << num_zeros) - 1 + self.fixed(num_zeros)

    def signed(self) -> int:
        """A signed Exp-Golomb number."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -(number // 2)
