"""Images as the codes of a trained VQ-VAE (van den Oord et al., 2017).

Han et al. (2024, sec. 4.3) compare JPEG-LM with a model of 1,024 codes an image, from a codebook of
4,096.

Shape legend: N = h * w codes of an image.
"""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from typing_extensions import override

from modules.codec_lm.codes.codec import CodeCodec, Pixels
from modules.codec_lm.codes.rules import MOST, Codes
from modules.vq.network import VQNetwork, digest, read_network
from modules.weights.origin import at_home


@dataclass(frozen=True)
class VqCodec(CodeCodec):
    """One code for each square of pixels, in raster order.

    Images are coded and decoded one by one, on the CPU and in single precision, so that codes do
    not depend on the batch. Processors that sum in another order may choose another code where two
    are almost equally near.

    Attributes:
        network: Folder that the command `export` wrote for a `vq` config, or a checkpoint of its
            training (`.ckpt`); read when first needed.
    """

    network: str

    @cached_property
    def autoencoder(self) -> VQNetwork:
        """The network, frozen.

        Raises:
            FileNotFoundError: The folder or file does not exist.
            ValueError: It holds something else, or more codes than there are characters.
        """
        network = read_network(at_home(self.network))
        if network.sizes.num_codes > MOST:
            raise ValueError(
                f"{self.network} has {network.sizes.num_codes} codes, the most is {MOST}."
            )
        return network

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        sizes = self.autoencoder.sizes
        return (sizes.size, sizes.size) + (() if sizes.channels == 1 else (3,))

    @property
    @override
    def num_kinds(self) -> int:
        return self.autoencoder.sizes.num_codes

    @property
    @override
    def length(self) -> int:
        return self.autoencoder.side**2

    @override
    @torch.inference_mode()
    def encode(self, image: Pixels) -> Codes:
        self.check(image)
        size = self.shape[0]
        pixel_HWC = torch.tensor(image).view(size, size, -1)
        pixel_1CHW = pixel_HWC.permute(2, 0, 1)[None].float() / 127.5 - 1
        _, code_N = self.autoencoder.quantiser(self.autoencoder.encode(pixel_1CHW))
        return np.asarray(code_N.numpy(), np.int64)

    @override
    @torch.inference_mode()
    def show(self, code_N: Codes) -> Pixels:
        network = self.autoencoder
        code_ND = network.quantiser.code_KD[torch.tensor(code_N)]
        pixel_HWC = network.decode(code_ND)[0].permute(1, 2, 0)
        image = ((pixel_HWC.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
        return np.ascontiguousarray(image.reshape(self.shape))

    @override
    def fingerprint(self) -> str:
        return json.dumps([type(self).__name__, self.weights])

    @cached_property
    def weights(self) -> str:
        """Hash of all weights."""
        return digest(self.autoencoder)

    def __getstate__(self) -> dict[str, object]:
        """Only the path: every process reads the network itself."""
        return {"network": self.network}
