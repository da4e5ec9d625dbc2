"""An autoencoder whose latents are codes of a codebook (van den Oord et al., 2017, sec. 4.1).

Shape legend: B = images, C = channels, H = W = side of an image, h = w = side of its codes,
D = width of a code, N = B * h * w.
"""

import hashlib
import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typing_extensions import override

from modules.vq.quantiser import VectorQuantiser, straight_through

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""Files of an exported folder."""
FORMAT = 1
"""Version of the layout; part of the config."""
RUNNING = ("quantiser.count_K", "quantiser.sum_KD", "quantiser.has_begun")
"""What only training needs."""


@dataclass(frozen=True)
class Coded:
    """A batch of images, coded.

    Attributes:
        pixel_BCHW: What the decoder makes of the codes.
        z_ND: What the encoder gives, in float32.
        quantised_ND: The codes.
        index_N: Their indices.
    """

    pixel_BCHW: Tensor
    z_ND: Tensor
    quantised_ND: Tensor
    index_N: Tensor


@dataclass(frozen=True)
class Sizes:
    """What a network is built of; names as in `VQNetwork`."""

    size: int
    channels: int
    num_codes: int
    code_size: int
    downsampling: int
    width: int
    num_blocks: int


class Residual(nn.Module):
    """ReLU, 3 x 3 convolution, ReLU, 1 x 1 convolution, added.

    Args:
        width: Channels.
    """

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1)
        )

    @override
    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        out: Tensor = x + self.layers(x)
        return out


class VQNetwork(nn.Module):
    """Strided convolutions and residual blocks, a codebook, and the same the other way round.

    Args:
        size: Side of an image in pixels.
        channels: 1 for grey, 3 for colours.
        num_codes: Codes of the codebook.
        code_size: D.
        downsampling: H / h; a power of two that divides `size`.
        width: Channels of the hidden layers.
        num_blocks: Residual blocks on either side.
        decay: See `vector_quantiser.VectorQuantiser`.
        revive_below: Likewise.

    Raises:
        ValueError: A number is out of bounds.
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        num_codes: int = 512,
        code_size: int = 64,
        downsampling: int = 4,
        width: int = 128,
        num_blocks: int = 2,
        decay: float = 0.99,
        revive_below: float = 0.05,
    ):
        super().__init__()
        self.sizes = Sizes(size, channels, num_codes, code_size, downsampling, width, num_blocks)
        for name, value in asdict(self.sizes).items():
            if value < (0 if name == "num_blocks" else 1):
                raise ValueError(f"{name} is too small: {value}.")
        num_halvings = downsampling.bit_length() - 1
        if downsampling != 2**num_halvings or size % downsampling:
            raise ValueError(
                f"downsampling must be a power of two that divides size={size}, got {downsampling}."
            )
        blocks = [[Residual(width) for _ in range(num_blocks)] for _ in range(2)]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for _ in range(num_halvings):
            down += [nn.Conv2d(width, width, 4, stride=2, padding=1), nn.ReLU()]
            up += [nn.ReLU(), nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)]
        first, last = (nn.Conv2d(a, b, 3, padding=1) for a, b in ((channels, width), (width,) * 2))
        self.encoder = nn.Sequential(
            first, nn.ReLU(), *down, last, *blocks[0], nn.ReLU(), nn.Conv2d(width, code_size, 1)
        )
        self.quantiser = VectorQuantiser(num_codes, code_size, decay, revive_below)
        self.decoder = nn.Sequential(
            nn.Conv2d(code_size, width, 3, padding=1),
            *blocks[1],
            *up,
            nn.ReLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )

    @property
    def dtype(self) -> torch.dtype:
        """In which the weights are kept; codes are single precision."""
        return next(self.encoder.parameters()).dtype

    @property
    def side(self) -> int:
        """h: the codes of an image are h rows of h."""
        return self.sizes.size // self.sizes.downsampling

    @override
    def forward(self, pixel_BCHW: Tensor, quantise: bool = True) -> Coded:
        """Encode images and decode their codes; gradients pass the codebook straight through.

        Args:
            pixel_BCHW: Pixels in [-1, 1].
            quantise: Whether the decoder sees codes; else what the encoder gives.
        """
        z_ND = self.encode(pixel_BCHW)
        quantised_ND, index_N = self.quantiser(z_ND)
        passed_ND = straight_through(z_ND, quantised_ND) if quantise else z_ND
        return Coded(self.decode(passed_ND), z_ND, quantised_ND, index_N)

    def encode(self, pixel_BCHW: Tensor) -> Tensor:
        """What is to be quantised, in raster order image by image: float32 [N, D]."""
        z_BDhw: Tensor = self.encoder(pixel_BCHW.to(self.dtype))
        return z_BDhw.permute(0, 2, 3, 1).flatten(0, 2).float()

    def decode(self, code_ND: Tensor) -> Tensor:
        """The images of codes, [B, C, H, W], float32; not bounded."""
        code_BhwD = code_ND.view(-1, self.side, self.side, self.sizes.code_size)
        pixel_BCHW: Tensor = self.decoder(code_BhwD.permute(0, 3, 1, 2).to(self.dtype))
        return pixel_BCHW.float()


# Files


def write_network(network: VQNetwork, folder: Path) -> None:
    """Write what it takes to encode images: sizes, and weights without what only training needs."""
    state = {n: t.contiguous() for n, t in network.state_dict().items() if n not in RUNNING}
    save_file(state, folder / WEIGHTS)
    config = {"format": FORMAT, **asdict(network.sizes)}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def read_network(path: Path) -> VQNetwork:
    """A network from an exported folder, or from a checkpoint of its training, on the CPU.

    Args:
        path: The folder, or a file that ends in `.ckpt`.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is something else.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; train a VQ-VAE with python cli.py fit --config "
            f"configs/vq/NAME.yaml, then write it with python cli.py export --config "
            f"configs/vq/NAME.yaml --ckpt_path last --folder {path}"
        )
    sizes, state = read_checkpoint(path) if path.suffix == ".ckpt" else read_folder(path)
    try:
        network = VQNetwork(**sizes)
        left_out = {name: value for name, value in network.state_dict().items() if name in RUNNING}
        network.load_state_dict({**left_out, **state})
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{path} holds no VQ-VAE: {error}") from error
    return network.float().eval().requires_grad_(False)


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Sizes and weights of an exported folder."""
    try:
        config = json.loads((folder / CONFIG).read_text())
        state = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no exported VQ-VAE: {error}") from error
    if config.pop("format", None) != FORMAT:
        raise ValueError(f"{folder / CONFIG} is of another version than {FORMAT}.")
    return config, state


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Options and weights of a checkpoint, read as data only, never as code."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        options = found["hyper_parameters"]["network"]["init_args"]
        state = found["state_dict"]
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no checkpoint of a VQ-VAE: {error}") from error
    prefix = "network."
    return dict(options), {name.removeprefix(prefix): value for name, value in state.items()}


def digest(network: VQNetwork) -> str:
    """SHA-256 of sizes and weights, whatever file they came from."""
    found = hashlib.sha256(json.dumps(asdict(network.sizes)).encode())
    for name, value in sorted(network.state_dict().items()):
        if name not in RUNNING:
            found.update(name.encode())
            found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()
