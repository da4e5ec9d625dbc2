"""A trained LMFusion as files: its own weights, and the language model as others read it.

Shape legend: B = sequences, Q = text positions, D = width.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.disk.tensors import SHARD_SIZE, write_tensors
from modules.base.system import System
from modules.base.tokenized import Tokenized
from modules.lmfusion.network.fusion import BOI, EOI, FusionNetwork
from modules.lmfusion.network.text_model import TextParts

BASE = "base"
"""Folder of the language model within an exported one."""
NUM_TOKENS = 6
"""Text before and after the image of `probe`."""


def fill(model: Any, network: FusionNetwork) -> None:
    """Give a language model of transformers the text path of a network, trained or not.

    Args:
        model: The one that the network was built on, read again; changed in place.
        network: The network.
    """
    parts = TextParts.of(model)
    pairs: list[tuple[nn.Module, Any]] = [
        (parts.embed, network.embed),
        (parts.norm, network.norm),
        (parts.head, network.head),
        *zip(parts.layers, (block.text for block in network.blocks), strict=True),
    ]
    for theirs, ours in pairs:
        theirs.load_state_dict(ours.state_dict())


def write_base(network: Any, folder: Path, tokenizer: Any, max_shard_size: str) -> None:
    """Write the language model beneath a network as a folder of transformers.

    Args:
        network: Has `read_base()`.
        folder: The exported folder.
        tokenizer: Written beside it.
        max_shard_size: Largest file, such as 5GB.
    """
    model = network.read_base()
    fill(model, network)
    model.save_pretrained(folder / BASE, max_shard_size=max_shard_size)
    tokenizer.save_pretrained(folder / BASE)


@torch.no_grad()
def probe(network: FusionNetwork) -> Tensor:
    """What a network makes of a text, an image and more text, one number after another.

    Predictions for noised images, and logits before and after them, all in one sequence each.
    """
    device, patchifier = network.mark.device, network.patchifier
    generator = torch.Generator().manual_seed(0)
    vocabulary = network.embed.num_embeddings
    token_BQ = torch.randint(vocabulary, (2, 2 * NUM_TOKENS), generator=generator).to(device)
    first_BQ, last_BQ = token_BQ.split(NUM_TOKENS, dim=1)
    first_BQ[:, -1], last_BQ[:, 0] = BOI, EOI
    latent_BCHW = torch.randn(2, *patchifier.shape, generator=generator).to(device)
    cache = network.empty_cache(2, 2 * NUM_TOKENS + patchifier.num_patches)
    step_B = torch.tensor([3, 700], device=device)
    before_BQD = network.extend_text(first_BQ, cache)
    noise_BCHW = network.extend_image(latent_BCHW, step_B, cache, keep=True)
    after_BQD = network.extend_text(last_BQ, cache)
    hidden_TD = torch.cat([before_BQD, after_BQD], 1).flatten(0, 1)
    return torch.cat([noise_BCHW.flatten().float(), network.logits(hidden_TD).flatten().float()])


DELTA = (
    "Image experts alone: they stand on the base model below, unchanged, and open on no other; "
    '`open_exported("this_folder", base="...")` where it lies elsewhere.'
)
WITH_BASE = (
    "Image experts in `state.safetensors`, the language model beneath them in `base/`, which "
    "transformers opens as it is."
)
ALONE = "One network for texts and images, trained from scratch, in `state.safetensors`."
CODE = """from engine.export.folder import open_exported

model = open_exported("this_folder")  # no code of the folder is run
images = model.draw(["a large red circle in the top left"])  # uint8 [N, H, W, 3]"""
"""What a model card says, and how an exported folder is opened."""


class ExportedLMFusion(Tokenized, System):
    """What LMFusion can do with folders; a subclass trains it."""

    @property
    def fusion(self) -> FusionNetwork:
        """The network, after it is built."""
        assert isinstance(self.network, FusionNetwork)
        return self.network

    def export(
        self, folder: Path, only_trained: bool = False, max_shard_size: str = SHARD_SIZE
    ) -> None:
        """Write what the language model lacks, and beside it the language model itself.

        Args:
            folder: Where to write.
            only_trained: Whether the language model stays where it is, and is named.
            max_shard_size: Largest file of weights, such as 5GB.

        Raises:
            ValueError: The language model is to stay where it is, but is trained.
        """
        stands = self.stands_on_base
        if only_trained and not (stands and self.fusion.freeze_text):
            raise ValueError(
                "only_trained: the text path is trained as well; there is no frozen language model "
                "to stand on"
            )
        text = {id(p) for p in self.fusion.text_parameters()} if stands else set()
        owners = dict(self.named_parameters(remove_duplicate=False))
        state = {n: v for n, v in self.state_dict().items() if id(owners.get(n)) not in text}
        write_tensors(state, folder, max_shard_size)
        self.tokenizer.save_pretrained(folder)
        if stands and not only_trained:
            write_base(self.fusion, folder, self.tokenizer, max_shard_size)

    @property
    def stands_on_base(self) -> bool:
        """Whether the text path was read from a model."""
        return hasattr(self.fusion, "source")

    def reopened(self, at: str, only_trained: bool) -> dict[str, Any]:
        """Options of this system when its network is that of an exported folder."""
        found: dict[str, Any] = {"tokenizer": at}
        given: Any = self.hparams["network"]
        if self.stands_on_base and not only_trained:
            options = {**given["init_args"], "source": f"{at}/{BASE}", "revision": "main"}
            found["network"] = {"class_path": given["class_path"], "init_args": options}
        return found

    def opens_with(self, only_trained: bool) -> dict[str, str]:
        """How others open an exported folder."""
        if only_trained:
            note = f"{DELTA} Their base has the fingerprint `{self.frozen_source}`."
        else:
            note = WITH_BASE if self.stands_on_base else ALONE
        return {"note": note, "pipeline_tag": "text-to-image", "code": CODE}

    def outputs(self) -> Tensor:
        """Predictions of a few noised images, and logits of the texts around them."""
        return probe(self.fusion)
