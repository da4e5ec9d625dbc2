"""Base class of codecs with a fixed number of codes an image: of pixels, and of a quantiser.

Shape legend: N = codes of an image.
"""

from abc import ABC, abstractmethod
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modules.codec_lm.byte_text import FIRST
from modules.codec_lm.codes.rules import Codes, FixedLength, codes_to_text, pack, unpack
from modules.codec_lm.prefix import num_given
from modules.codec_lm.rules import Rules

Pixels = NDArray[np.uint8]


class CodeCodec(ABC):
    """Codes images as N codes each."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of images: (H, W, 3), or (H, W) for grey ones."""

    @property
    @abstractmethod
    def num_kinds(self) -> int:
        """Number of different codes."""

    @property
    @abstractmethod
    def length(self) -> int:
        """N, codes of an image."""

    @abstractmethod
    def encode(self, image: Pixels) -> Codes:
        """The codes of an image, [N].

        Raises:
            ValueError: The image has another shape.
        """

    @abstractmethod
    def show(self, code_N: Codes) -> Pixels:
        """The image of N codes."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A text that changes when codes may have changed."""

    def check(self, image: Pixels) -> None:
        """Raise a ValueError unless an image has the right shape and type."""
        if image.shape != self.shape or image.dtype != np.uint8:
            raise ValueError(f"images are uint8 {self.shape}, got {image.dtype} {image.shape}.")

    # For the data

    @property
    def alphabet(self) -> list[str]:
        """All characters of these texts."""
        return [chr(FIRST + code) for code in range(self.num_kinds)]

    def text(self, image: Pixels) -> str:
        """The codes of an image, as text for a tokenizer."""
        return codes_to_text(self.encode(image))

    def prefix(self, image: Pixels, share: float) -> str:
        """The first codes of an image, as text.

        Args:
            image: As in `encode`.
            share: Share of the codes, in [0, 1), rounded down; r of Han et al. (2024, sec. 4.3).

        Raises:
            ValueError: The share is out of bounds.
        """
        return self.text(image)[: num_given(share, self.length)]

    # For the system

    def rules(self, tokenizer: Any) -> Rules:
        """Which tokens of a Hugging Face tokenizer of single codes may come next."""
        return FixedLength.of(self.num_kinds, self.length, tokenizer)

    @property
    def file_extension(self) -> str:
        """File extension, without the dot."""
        return "png"

    def decoder_error(self, sequence: bytes) -> str | None:
        """What is wrong with a sequence; None if it is N codes."""
        try:
            code_N = unpack(sequence, self.num_kinds)
        except ValueError as error:
            return str(error)
        if len(code_N) != self.length:
            return f"{len(code_N)} codes, an image has {self.length}"
        if code_N.max() >= self.num_kinds:
            return f"code {code_N.max()} of {self.num_kinds}"
        return None

    def decode(self, sequence: bytes) -> Pixels:
        """The image of a sequence.

        Raises:
            OSError: It is not N codes; the message is that of `decoder_error`.
        """
        error = self.decoder_error(sequence)
        if error is not None:
            raise OSError(error)
        return self.show(unpack(sequence, self.num_kinds))

    def file(self, sequence: bytes) -> bytes:
        """A PNG file of the image; missing or invalid codes are 0."""
        size = len(pack(np.zeros(1, np.int64), self.num_kinds))
        whole = sequence[: len(sequence) // size * size]
        given = unpack(whole, self.num_kinds)[: self.length]
        code_N = np.zeros(self.length, np.int64)
        code_N[: len(given)] = np.where(given < self.num_kinds, given, 0)
        file = BytesIO()
        Image.fromarray(self.show(code_N)).save(file, "PNG")
        return file.getvalue()
