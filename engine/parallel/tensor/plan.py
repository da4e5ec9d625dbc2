"""Which layers of a Llama-like trunk tensor parallelism divides, and how; found by their names.

Q, K, V, gate and up are divided by their outputs, that is by heads and by hidden features; O and
down by their inputs, and their outputs are added over the ranks ("Megatron-LM", Shoeybi et al.,
2019, sec. 3). Embedding and output layer are divided by the vocabulary, unless they are tied or the
ranks do not divide it. Everything else every rank holds whole and computes alike: norms, and
whatever a network has besides the trunk.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

BY_OUTPUT = re.compile(r"(q_proj|k_proj|v_proj|gate_proj|up_proj)(\.base_layer|\.lora_B\.\w+)?$")
"""Layers whose outputs are divided; of an adapter, its second matrix."""
BY_INPUT = re.compile(r"(o_proj|down_proj)(\.base_layer|\.lora_A\.\w+)?$")
"""Layers whose inputs are divided; of an adapter, its first matrix."""
ADAPTER = re.compile(r"_proj\.lora_[AB]\.\w+$")
"""What else of an adapter there is, which every rank holds whole."""
FIRST = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
"""Layers that read what their module is given."""
INPUT = "hidden_states"
"""What transformers calls that."""
EMBEDDING, HEAD = re.compile(r"(^|\.)embed_tokens$"), re.compile(r"(^|\.)lm_head$")
"""Layers that are divided by the vocabulary."""


@dataclass(frozen=True)
class Trunk:
    """The layers of a network that are divided.

    Attributes:
        by_output: Linear layers whose outputs are.
        by_input: Linear layers whose inputs are.
        embedding: The embedding, where its name is known.
        head: The output layer, likewise.
    """

    by_output: dict[str, Any]
    by_input: dict[str, Any]
    embedding: nn.Module | None
    head: nn.Module | None

    @staticmethod
    def of(network: nn.Module) -> "Trunk":
        """The layers by their names.

        Raises:
            ValueError: It has no Llama-like blocks, or they hold more than can be divided.
        """
        named = {n: m for n, m in network.named_modules() if any(True for _ in m.parameters(False))}
        by_output = {n: m for n, m in named.items() if BY_OUTPUT.search(n)}
        by_input = {n: m for n, m in named.items() if BY_INPUT.search(n)}
        if not by_output or not by_input:
            raise ValueError(
                f"{type(network).__name__} has no layers called q_proj, k_proj, v_proj, o_proj, "
                "gate_proj, up_proj and down_proj, which tensor parallelism divides; take "
                "configs/strategy/fsdp2.yaml"
            )
        for name in {*named} - {*by_output, *by_input}:
            refuse_inner(name, network)
        for name, layer in {**by_output, **by_input}.items():
            refuse_other_kind(name, layer)
        embeddings = (m for n, m in named.items() if EMBEDDING.search(n))
        heads = (m for n, m in named.items() if HEAD.search(n))
        return Trunk(by_output, by_input, next(embeddings, None), next(heads, None))

    def check(self, num_ranks: int, network: nn.Module) -> None:
        """Refuse a number of ranks that does not divide heads and features.

        Raises:
            ValueError: Names the number that it does not divide.
        """
        for name, heads in heads_of(network):
            check_divides(num_ranks, heads, f"the {heads} heads of {name}")
        for name, layer in self.by_output.items():
            size = int(layer.weight.shape[0])
            check_divides(num_ranks, size, f"the {size} features of {name}")
        for name, layer in self.by_input.items():
            size = int(layer.weight.shape[1])
            check_divides(num_ranks, size, f"the {size} features of {name}")


def heads_of(network: nn.Module) -> Iterator[tuple[str, int]]:
    """Names of the projections of attention that have heads, and the number of each one's heads."""
    for name, module in network.named_modules():
        size = getattr(module, "head_dim", None)
        for part in ("q_proj", "k_proj", "v_proj"):
            layer = getattr(module, part, None)
            if isinstance(size, int) and layer is not None:
                yield f"{name}.{part}", int(layer.weight.shape[0]) // size


def check_divides(num_ranks: int, size: int, what: str) -> None:
    """Refuse a number of ranks that does not divide something.

    Raises:
        ValueError: Quotes both.
    """
    if size % num_ranks:
        raise ValueError(f"tensor_parallel_size is {num_ranks}, which does not divide {what}")


def refuse_inner(name: str, network: nn.Module) -> None:
    """Refuse parameters that work on single heads or features: their gradients would be partial.

    Raises:
        ValueError: Names them.
    """
    parent = network.get_submodule(name.rpartition(".")[0])
    is_inside = any(hasattr(parent, part) for part in ("q_proj", "down_proj"))
    if is_inside and not ADAPTER.search(name):
        raise ValueError(
            f"{name} works on divided heads or features, which tensor parallelism does not know; "
            "take configs/strategy/fsdp2.yaml"
        )


def refuse_other_kind(name: str, layer: nn.Module) -> None:
    """Refuse layers that are not plain, such as quantised ones.

    Raises:
        ValueError: Names the layer and its kind.
    """
    if type(layer) is not nn.Linear:
        raise ValueError(
            f"{name} is a {type(layer).__name__}; tensor parallelism divides plain linear layers"
        )


def divide(network: nn.Module, mesh: DeviceMesh) -> None:
    """Divide the trunk of a network over the ranks of a mesh, in place; its names stay.

    Args:
        network: With whole weights, the same on every rank.
        mesh: Of one axis.

    Raises:
        ValueError: The network cannot be divided so.
    """
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    trunk = Trunk.of(network)
    trunk.check(mesh.size(), network)
    for layer in trunk.by_output.values():
        parallelize_module(layer, mesh, ColwiseParallel())
        layer.out_features //= mesh.size()
    for layer in trunk.by_input.values():
        parallelize_module(layer, mesh, RowwiseParallel())
        layer.in_features //= mesh.size()
    for module in network.modules():
        if reads_one_tensor(module):
            module.register_forward_pre_hook(partial(with_input_shared, mesh), with_kwargs=True)
    divide_vocabulary(trunk, mesh)


def reads_one_tensor(module: nn.Module) -> bool:
    """Whether a module is an attention or FFN all of whose first layers read what it is given."""
    parts = dict(module.named_children())
    first = [parts.get(name) for name in FIRST if name in parts]
    return len(first) > 1 and all(type(layer) is nn.Linear for layer in first)


def with_input_shared(
    mesh: DeviceMesh, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of a module whose first layers then have one sum of gradients between them."""
    from torch.distributed.tensor import DTensor, Replicate

    def shared(x: Tensor) -> Tensor:
        return DTensor.from_local(x, mesh, [Replicate()], run_check=False)

    if args:
        return (shared(args[0]), *args[1:]), kwargs
    return args, {**kwargs, INPUT: shared(kwargs[INPUT])}


def divide_vocabulary(trunk: Trunk, mesh: DeviceMesh) -> None:
    """Divide embedding and output layer, where the ranks divide the vocabulary.

    Logits are gathered, so that losses and sampling see all of them on every rank.
    """
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    embedding, head = trunk.embedding, trunk.head
    is_tied = embedding is not None and head is not None and head.weight is embedding.weight
    if head is not None and not is_tied and is_divisible(head, mesh.size()):
        parallelize_module(head, mesh, ColwiseParallel(output_layouts=Replicate()))
    if embedding is not None and not is_tied and is_divisible(embedding, mesh.size()):
        parallelize_module(embedding, mesh, RowwiseParallel(input_layouts=Replicate()))


def is_divisible(layer: Any, num_ranks: int) -> bool:
    """Whether a layer of tokens is plain, and its rows can be divided evenly."""
    is_plain = type(layer) in (nn.Linear, nn.Embedding)
    if not is_plain or getattr(layer, "padding_idx", None) is not None:
        return False
    return int(layer.weight.shape[0]) % num_ranks == 0
