"""A tiny Llama, documents with images, and the network computed token by token."""

import copy

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from modules.lmfusion.mask import IMAGE, LATER, PREFIX, Runs, hybrid_mask
from modules.lmfusion.network import BOI, EOI, FusionNetwork
from modules.lmfusion.patchify import LinearPatchifier, Patchifier
from modules.lmfusion.text import TextParts
from modules.lmfusion.unet import UNetPatchifier
from modules.nn.norm import RMSNorm

VOCABULARY = 50
Document = list[int | tuple[int]]
"""Token ids, and images by their number."""
DOCUMENTS: list[Document] = [
    [3, 4, 5, BOI, (0,), EOI, 6, 7],
    [1, BOI, (1,), EOI, 9, 8, 7, 6, 5],
    [1, 2, BOI, (2,), EOI, 3, BOI, (3,), EOI],
    [5, 6, 7],
]


def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
    )
    return LlamaForCausalLM(config).eval()


def linear() -> Patchifier:
    return LinearPatchifier(32, 8, 3, 2)


def unet() -> Patchifier:
    return UNetPatchifier(32, 8, 3, (8, 16), 1, 16, 1, 8)


def fusion(patchifier: Patchifier | None = None, **options) -> FusionNetwork:
    """A network in float64 whose trainable weights are far from what they start with."""
    parts = TextParts.of(copy.deepcopy(llama()))
    network = FusionNetwork(parts, patchifier or linear(), **options).double()
    torch.manual_seed(1)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.3
    return network


def with_exact_norms(network: FusionNetwork) -> FusionNetwork:
    """The norms of a Llama compute in float32, too coarse for differences of losses."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, (LlamaRMSNorm, RMSNorm)):
                norm = torch.nn.RMSNorm(32, eps=child.variance_epsilon)
                norm.weight = child.weight
                setattr(module, name, norm)
    return network


def arrange(documents: list[Document], n: int) -> tuple[Tensor, Tensor, Runs]:
    """Tokens (prefix first), positions and runs of documents, by a plain loop."""
    prefix, later, patch, runs = [], [], {}, []
    for number, document in enumerate(documents):
        position, kind = 0, PREFIX
        for element in document:
            if isinstance(element, tuple):
                patch[element[0]] = list(range(position, position + n))
                runs.append((IMAGE, number, n))
                position += n
                continue
            kind = LATER if element == BOI else kind
            (prefix if kind == PREFIX else later).append((element, position))
            if runs and runs[-1][:2] == (kind, number):
                runs[-1] = (kind, number, runs[-1][2] + 1)
            else:
                runs.append((kind, number, 1))
            position += 1
    token_T = torch.tensor([token for token, _ in prefix + later])
    positions = [p for _, p in prefix + later] + [p for i in sorted(patch) for p in patch[i]]
    return token_T, torch.tensor(positions), Runs(*map(list, zip(*runs, strict=True)))


def token_by_token(
    network: FusionNetwork, documents: list[Document], latent: Tensor, step: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Hidden text of each document and the images' predictions, with dense masks."""
    patch, skips = network.patchifier.down(latent, step)
    patch = patch.unflatten(0, (len(latent), -1))
    texts, images = [], {}
    for document in documents:
        rows, image_id = [], []
        for element in document:
            if isinstance(element, tuple):
                rows += list(patch[element[0]])
                image_id += [element[0]] * len(patch[element[0]])
            else:
                mark = element < 0
                rows.append(network.mark[-1 - element] if mark else network.embed.weight[element])
                image_id.append(-1)
        image_id = torch.tensor(image_id)
        x = blocks(network, torch.stack(rows), image_id)
        texts.append(network.norm(x[image_id < 0]))
        images |= {i: x[image_id == i] for i in set(image_id.tolist()) - {-1}}
    hidden = network.image_norm(torch.cat([images[i] for i in sorted(images)]))
    return texts, network.patchifier.up(hidden, step, skips)


def blocks(network: FusionNetwork, x: Tensor, image_id: Tensor) -> Tensor:
    """All blocks over one document: both paths on every row, then the right one of the two."""
    length = len(x)
    position = torch.arange(length)
    mask = hybrid_mask(position, torch.zeros(length), image_id)
    cos, sin = (a[0] for a in network.rotary(x, position[None]))
    is_image = (image_id >= 0)[:, None]
    for block in network.blocks:
        text, image = block.text_path, block.image_path

        def both(of, y, text=text, image=image):
            return torch.where(is_image, of(image)(y), of(text)(y))

        def heads(name, y, both=both):
            out = both(lambda path: getattr(path.attention.self_attn, name), y)
            return out.view(length, -1, 8).transpose(0, 1)

        y = both(lambda path: path.attention.input_layernorm, x)
        q, k, v = (heads(name, y) for name in ("q_proj", "k_proj", "v_proj"))
        q, k = (a * cos + torch.cat([-a[..., 4:], a[..., :4]], -1) * sin for a in (q, k))
        k, v = (a.repeat_interleave(2, 0) for a in (k, v))
        score = (q @ k.transpose(1, 2) / 8**0.5).masked_fill(~mask, -torch.inf).softmax(-1)
        attended = (score @ v).transpose(0, 1).reshape(length, -1)
        x = x + both(lambda path: path.attention.self_attn.o_proj, attended)
        y = both(lambda path: path.ffn.post_attention_layernorm, x)
        x = x + both(lambda path: path.ffn.mlp, y)
    return x
