"""Counts that noise cannot touch: FLOPs that are executed, bytes that are saved for backward.

Networks too large for this machine are counted on the meta device, where nothing is computed.

Shape legend: B = rows, H = heads, Q = queries, K = keys, E = head size.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

aten = torch.ops.aten
FUSED = aten._scaled_dot_product_flash_attention_for_cpu
FUSED_BACKWARD = aten._scaled_dot_product_flash_attention_for_cpu_backward
Shape = Sequence[int]


def pair_flops(query_BHQE: Shape, key_BHKE: Shape, is_causal: bool) -> int:
    """FLOPs of one product over all pairs that a fused kernel is asked for.

    A kernel told to be causal leaves out the pairs above the diagonal; one that gets a mask
    computes them all.
    """
    rows, heads, num_queries, head_size = query_BHQE
    num_keys = key_BHKE[2]
    pairs = num_queries * (num_queries + 1) // 2 if is_causal else num_queries * num_keys
    return 2 * rows * heads * head_size * pairs


def forward_flops(
    query: Shape, key: Shape, value: Shape, dropout: float = 0.0, is_causal: bool = False, **_: Any
) -> int:
    """Scores, and the weighted sum of values."""
    return 2 * pair_flops(query, key, is_causal)


def backward_flops(
    gradient: Shape,
    query: Shape,
    key: Shape,
    value: Shape,
    out: Shape,
    logsumexp: Shape,
    dropout: float,
    is_causal: bool,
    **_: Any,
) -> int:
    """Scores once more, and the gradients of weights, queries, keys and values."""
    return 5 * pair_flops(query, key, is_causal)


def of_kernel(kernel: Any, products: int) -> Callable[..., int]:
    """FLOPs of one of CUDA's fused kernels, whose arguments its schema names.

    Args:
        kernel: Its operator.
        products: Over all pairs: two forward, five backward.
    """
    names = [argument.name for argument in kernel.default._schema.arguments]

    def flops(*args: Any, **kwargs: Any) -> int:
        given = dict(zip(names, args, strict=False)) | kwargs
        return products * pair_flops(given["query"], given["key"], given.get("is_causal", False))

    return flops


KERNELS = ("flash", "efficient", "cudnn")
FORMULAS = {FUSED: forward_flops, FUSED_BACKWARD: backward_flops} | {
    kernel: of_kernel(kernel, products)
    for name in KERNELS
    for ending, products in (("", 2), ("_backward", 5))
    for kernel in [getattr(aten, f"_scaled_dot_product_{name}_attention{ending}")]
}
"""In place of torch's own, which do not know of `is_causal`."""


class FusedOnMeta(TorchFunctionMode):
    """On the meta device, attention takes the fused kernel that it takes on the CPU."""

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func is not F.scaled_dot_product_attention or not args[0].is_meta:
            return func(*args, **given)
        return fused(*args, **given)


def fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The fused kernel; it takes masks in the type of the queries, and any number of key heads."""
    mask = None if attn_mask is None else attn_mask.to(query.dtype)
    out: Tensor = FUSED(query, key, value, dropout_p, is_causal, attn_mask=mask, scale=scale)[0]
    return out


def executed_flops(loss: Callable[[], Tensor]) -> int:
    """FLOPs of all matrix products, convolutions and attention, forward and backward."""
    with FusedOnMeta(), FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        loss().backward()
    return int(counter.get_total_flops())


def saved_bytes(loss: Callable[[], Tensor], parameters: Iterable[nn.Parameter]) -> int:
    """Bytes that a graph keeps until its backward, each storage once, parameters left out.

    Args:
        loss: Runs a forward pass.
        parameters: What is in memory anyway.
    """
    known = {parameter.untyped_storage()._cdata for parameter in parameters}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage
        return tensor

    with FusedOnMeta(), saved_tensors_hooks(pack, lambda tensor: tensor):
        end = loss()
    total = sum(storage.nbytes() for storage in kept.values())
    del end  # the graph lived until all storages were counted
    return total
