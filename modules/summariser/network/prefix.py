"""A small transformer that reads the article once: the summary sees the article, not the reverse.

Shape legend: B = rows, L = positions, C = article positions, S = summary positions, D = width,
H = heads, K = width of a head, V = vocabulary.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from modules.summariser.network.denoiser import Denoiser

NUM_FREQUENCIES = 16
"""Sines and cosines each that describe the time."""
LONGEST_PERIOD = 10_000.0
"""Of the rotary embedding, as in Su et al. (2021)."""


@dataclass(frozen=True)
class Prefix:
    """Articles as the summary's attention sees them.

    Attributes:
        key_value: Keys and values of each block, [B, H, C, K]; after the article's, those of what
            is written of the summary.
        mask_BC: True where a token is real.
        num_written_B: Tokens that are written of each summary; None where none are of any.
    """

    key_value: list[tuple[Tensor, Tensor]]
    mask_BC: Tensor
    num_written_B: Tensor | None = None


class PrefixDenoiser(Denoiser[Prefix]):
    """A transformer from scratch; its output layer is its input embedding.

    Blocks have rotary positions, normed queries and keys, and a convolution over three positions
    before attention. Articles are read without the summary, so that their keys and values are
    computed once for all steps of diffusion and for all noise drawn for an article in training.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        summary_length: Largest number of summary positions, which are learned.
        width: D.
        depth: Number of blocks.
        heads: H.
        inner: Width of the feed-forward layers.
        kernel: Positions that a convolution sees; odd.

    Raises:
        ValueError: The width is no multiple of 2 H, or the kernel is even.
    """

    def __init__(
        self,
        tokenizer_size: int,
        summary_length: int,
        width: int = 96,
        depth: int = 3,
        heads: int = 4,
        inner: int = 192,
        kernel: int = 3,
    ):
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"width {width} is no multiple of twice the {heads} heads")
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.vocabulary = tokenizer_size
        self.longest_summary = summary_length
        self.width = width
        self.embedding = nn.Embedding(tokenizer_size, width)
        self.position = nn.Embedding(summary_length, width)
        self.segment = nn.Embedding(2, width)
        self.time = nn.Linear(2 * NUM_FREQUENCIES, width)
        self.blocks = nn.ModuleList(PrefixBlock(width, heads, inner, kernel) for _ in range(depth))
        self.norm = nn.RMSNorm(width)
        self.bias = nn.Parameter(torch.zeros(tokenizer_size))
        for table in (self.embedding, self.position, self.segment):
            nn.init.normal_(table.weight, std=width**-0.5)

    @override
    def read(
        self, article_BC: Tensor, mask_BC: Tensor, condition_B: Tensor | None = None
    ) -> Prefix:
        x = self.embedding(article_BC) + self.segment.weight[0]
        x = self.with_stances(x, condition_B)
        key_value = []
        for block in self.blocks:
            x, pair = cast(PrefixBlock, block)(x, mask_BC, None)
            key_value.append(pair)
        return Prefix(key_value, mask_BC)

    @override
    def repeat(self, context: Prefix, num: int) -> Prefix:
        pairs = [
            (key.repeat_interleave(num, 0), value.repeat_interleave(num, 0))
            for key, value in context.key_value
        ]
        written_B = context.num_written_B
        if written_B is not None:
            written_B = written_B.repeat_interleave(num, 0)
        return Prefix(pairs, context.mask_BC.repeat_interleave(num, 0), written_B)

    @override
    def extended(self, context: Prefix, token_BW: Tensor, mask_BW: Tensor) -> Prefix:
        x = self.embedding(token_BW) + self.segment.weight[1]
        x, key_value = self.through(self.placed(x, None), mask_BW, context)
        pairs = [
            (torch.cat([key, more_key], 2), torch.cat([value, more_value], 2))
            for (key, value), (more_key, more_value) in zip(
                context.key_value, key_value, strict=True
            )
        ]
        return Prefix(pairs, torch.cat([context.mask_BC, mask_BW], 1), mask_BW.sum(1))

    @override
    def forward(self, share_BSV: Tensor, time_B: Tensor, context: Prefix) -> Tensor:
        weight = self.embedding.weight
        x = share_BSV.to(weight.dtype) @ weight
        x = self.placed(x + self.segment.weight[1], context.num_written_B)
        x = x + self.time(waves(time_B).to(x.dtype))[:, None]
        x, _ = self.through(x, x.new_ones(x.shape[:2], dtype=torch.bool), context)
        return F.linear(self.norm(x), weight, self.bias)

    def placed(self, x: Tensor, start_B: Tensor | None) -> Tensor:
        """Positions of a summary [B, S, D] with what is learnt of their places, from a start on."""
        if start_B is None:
            return x + self.position.weight[: x.shape[1]]
        place_BS = start_B[:, None] + torch.arange(x.shape[1], device=x.device)
        return x + self.position(place_BS)

    def through(
        self, x: Tensor, mask_BS: Tensor, context: Prefix
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """All blocks over positions of a summary: their output, and keys and values of each."""
        key_value = []
        for block, pair in zip(self.blocks, context.key_value, strict=True):
            prefix = (*pair, context.mask_BC)
            x, own = cast(PrefixBlock, block)(x, mask_BS, prefix, context.num_written_B)
            key_value.append(own)
        return x, key_value


class PrefixBlock(nn.Module):
    """Convolution, attention and a feed-forward layer, each added to its input."""

    def __init__(self, width: int, heads: int, inner: int, kernel: int):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_inner = nn.RMSNorm(width), nn.RMSNorm(width)
        self.neighbours = nn.Parameter(torch.zeros(kernel, width))  # added to the identity
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.query_norm, self.key_norm = (nn.RMSNorm(width // heads) for _ in range(2))
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)

    def forward(
        self,
        x: Tensor,
        mask_BL: Tensor,
        prefix: tuple[Tensor, Tensor, Tensor] | None,
        start_B: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The block's output [B, L, D], and its keys and values [B, H, L, K].

        Args:
            x: Input.
            mask_BL: True where a position is real.
            prefix: Keys, values [B, H, C, K] and mask [B, C] of what comes before, if anything.
            start_B: Place of each row's first position in its text; None for 0.
        """
        attended, pair = self.attend(self.before_attention(x), mask_BL, prefix, start_B)
        x = x + self.out(attended)
        return x + self.down(F.gelu(self.up(self.before_inner(x)))), pair

    def attend(
        self,
        x: Tensor,
        mask_BL: Tensor,
        prefix: tuple[Tensor, Tensor, Tensor] | None,
        start_B: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attention over the prefix and these positions, [B, L, D], and their keys and values."""
        x = x + self.mixed(x * mask_BL[..., None])
        batch, length, width = x.shape
        split = self.query_key_value(x).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        query = rotated(self.query_norm(query), start_B)
        key = rotated(self.key_norm(key), start_B)
        keys, values, mask = key, value, mask_BL
        if prefix is not None:
            keys, values = torch.cat([prefix[0], key], 2), torch.cat([prefix[1], value], 2)
            mask = torch.cat([prefix[2], mask_BL], 1)
        out = F.scaled_dot_product_attention(query, keys, values, mask[:, None, None])
        return out.transpose(1, 2).reshape(batch, length, width), (key, value)

    def mixed(self, x: Tensor) -> Tensor:
        """Each channel's weighted sum over neighbouring positions, zeros beyond the ends."""
        half = len(self.neighbours) // 2
        wide = F.pad(x, (0, 0, half, half))
        shifts = [wide[:, i : i + x.shape[1]] * w for i, w in enumerate(self.neighbours)]
        return torch.stack(shifts).sum(0)


def rotated(x: Tensor, start_B: Tensor | None = None) -> Tensor:
    """Queries or keys [B, H, L, K], turned by their places in a text (Su et al., 2021).

    Args:
        x: Queries or keys.
        start_B: Place of each row's first position; None for 0.
    """
    half = x.shape[-1] // 2
    rate = LONGEST_PERIOD ** -(torch.arange(half, device=x.device, dtype=torch.float32) / half)
    place = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)
    if start_B is not None:
        place = place + start_B.view(-1, 1, 1)
    angle = place[..., None] * rate
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def waves(time_B: Tensor) -> Tensor:
    """Sines and cosines of the time, [B, 2 NUM_FREQUENCIES], from half a turn upwards."""
    power = torch.arange(NUM_FREQUENCIES, device=time_B.device, dtype=torch.float32)
    rate = torch.pi * 1.3**power
    angle = time_B.float()[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1)
