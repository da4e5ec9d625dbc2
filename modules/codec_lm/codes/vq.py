"""Images as the codes of a trained VQ-VAE (van den Oord et al., 2017).

Han et al. (2024, sec. 4.3) compare JPEG-LM with a model of 1,024 codes of 4,096 kinds an image.

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
    """A code for each square of pixels, in raster order.

    Images are coded and shown one by one, on the CPU and in single precision, so that codes do
    not depend on what else is coded. Processors that add in another order may choose other codes
    where two are all but equally near.

    Attributes:
        network: Folder that the command `export` wrote of a `vq` config, or a checkpoint of its
            training, a file that ends in `.ckpt`; read when first needed.
    """

    network: str

    @cached_property
    def autoencoder(self) -> VQNetwork:
        """The network, frozen.

        Raises:
            FileNotFoundError: There is no such folder or file.
            ValueError: It holds something else, or too many codes to be characters.
        """
        found = read_network(at_home(self.network))
        if found.sizes.num_codes > MOST:
            raise ValueError(
                f"{self.network} has {found.sizes.num_codes} codes, {MOST} at most do."
            )
        return found

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
        _, number_N = self.autoencoder.quantiser(self.autoencoder.encode(pixel_1CHW))
        return np.asarray(number_N.numpy(), np.int64)

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
        """The path alone; every process reads the network for itself."""
        return {"network": self.network}
