"""A trained summariser as files: an encoder that others open, and what makes it a summariser.

Shape legend: B = summaries, C = article positions, S = summary positions, V = vocabulary.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.disk.tensors import SHARD_SIZE, write_tensors
from modules.summariser.findings.evaluation import EvaluatingSystem

ENCODER = "network.model."
"""Begins the names of the weights of the model of transformers."""
NUM_ARTICLE, NUM_SUMMARY = 12, 6
"""Positions of `outputs`, at most."""
CARD = (
    "A masked language model that denoises summaries. transformers opens it as an encoder; what "
    "makes it a summariser is in `state.safetensors` and `system.json`."
)
CODE = """from transformers import AutoModel, AutoTokenizer

encoder = AutoModel.from_pretrained("this_folder")
tokenizer = AutoTokenizer.from_pretrained("this_folder")"""
"""How others open an exported folder."""


class ExportedSummariser(EvaluatingSystem):
    """What a summariser can do with folders; a subclass trains it."""

    def export(self, folder: Path, max_shard_size: str = SHARD_SIZE) -> None:
        """Write the network's model of transformers, the tokenizer, and all other weights."""
        self.denoiser.write_encoder(folder, max_shard_size)
        is_apart = self.denoiser.from_encoder("") is not None
        state = {
            name: value
            for name, value in self.state_dict().items()
            if not (is_apart and name.startswith(ENCODER))
        }
        write_tensors(state, folder, max_shard_size)
        self.tokenizer.save_pretrained(folder)

    def reopened(self, at: str, only_trained: bool) -> dict[str, Any]:
        """Options of this system when its network is that of an exported folder."""
        network = self.denoiser.from_encoder(at)
        return {"tokenizer": at} | ({} if network is None else {"network": network})

    def opens_with(self, only_trained: bool) -> dict[str, str]:
        """How others open an exported folder."""
        if self.denoiser.from_encoder("") is None:
            return {"note": "Its network is made of no model of transformers."}
        return {"library_name": "transformers", "note": CARD, "code": CODE}

    @torch.no_grad()
    def outputs(self) -> Tensor:
        """Logits of a few noised summaries of random articles, [B, S, V]."""
        network, generator = self.denoiser, torch.Generator().manual_seed(0)
        sizes = [network.longest_article or NUM_ARTICLE, network.longest_summary or NUM_SUMMARY]
        C, S = min(sizes[0], NUM_ARTICLE), min(sizes[1], NUM_SUMMARY)
        token_BC = torch.randint(len(self.tokenizer), (2, C), generator=generator)
        mask_BC = torch.ones(2, C, dtype=torch.bool)
        mask_BC[1, -(C // 4) :] = False
        share_BSV = torch.randn(2, S, network.vocabulary, generator=generator).softmax(-1)
        time_B, wanted_B = torch.tensor([0.2, 0.9]), torch.tensor([0, -1])
        given = (one.to(self.device) for one in (token_BC, mask_BC, wanted_B))
        context = network.read(*given)
        logits: Tensor = network(share_BSV.to(self.device), time_B.to(self.device), context)
        return logits
