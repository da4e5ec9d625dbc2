"""Numbers in bits as H.264 writes them (ITU-T H.264, 9.1), as texts of 0 and 1."""


def unsigned(number: int) -> str:
    """A number from 0 (Exp-Golomb): as many zeros as its successor has bits behind the first."""
    word = f"{number + 1:b}"
    return "0" * (len(word) - 1) + word


def signed(number: int) -> str:
    """A whole number: 0, 1, -1, 2, -2 and so on, counted."""
    return unsigned(2 * number - 1 if number > 0 else -2 * number)


def fixed(number: int, width: int) -> str:
    """A number from 0 in so many bits."""
    return f"{number:0{width}b}" if width else ""


class BitReader:
    """Reads such numbers one after the other.

    Args:
        payload: Of a unit, without escapes.

    Raises:
        ValueError: Any of its methods: the payload breaks off.
    """

    def __init__(self, payload: bytes):
        self.bits = "".join(f"{byte:08b}" for byte in payload)
        self.at = 0

    def fixed(self, width: int) -> int:
        """A number of so many bits."""
        if self.at + width > len(self.bits):
            raise ValueError(f"the unit breaks off behind {len(self.bits)} bits.")
        self.at += width
        return int(self.bits[self.at - width : self.at] or "0", 2)

    def unsigned(self) -> int:
        """A number from 0."""
        num_zeros = 0
        while not self.fixed(1):
            num_zeros += 1
        return (1 << num_zeros) - 1 + self.fixed(num_zeros)

    def signed(self) -> int:
        """A whole number."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -(number // 2)
