"""Context parallelism: the positions of each row divided over ranks, for rows of many tokens."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from typing_extensions import override

from engine.parallel.context.attention import NAME, install
from engine.parallel.context.rows import RowPart
from engine.parallel.mesh import Size, make_mesh, split
from engine.parallel.same_rows import SameRows

NEEDED = ("loss", "training_loss", "log_p")
"""What a network of packed rows under one causal mask has."""


class ContextParallel(SameRows):
    """Divides the positions of rows over ranks; weights are sharded over all ranks.

    For causal language models with our attention of documents: losses, log-probabilities and logits
    are exact for packed rows too, since labels and positions inside documents travel with their
    tokens. Generation is not divided.

    Args:
        context_parallel_size: Ranks that a row is divided over; those of one machine where `auto`.
        blocks: As of FSDP2.
        save_sharded: As of FSDP2.
        save_async: As of FSDP2.
        backend: As of FSDP2.
    """

    def __init__(
        self,
        context_parallel_size: Size = "auto",
        blocks: list[str] | None = None,
        save_sharded: bool = False,
        save_async: bool = False,
        backend: str | None = None,
    ):
        super().__init__(blocks, save_sharded, save_async, backend)
        self.size = context_parallel_size
        self.all_ranks: DeviceMesh | None = None

    @override
    def axes(self, num_ranks: int, per_machine: int) -> dict[str, int]:
        axes = ("context_parallel_size", "data_parallel", "context_parallel")
        return split(num_ranks, per_machine, self.size, *axes)

    @override
    def setup_environment(self) -> None:
        super().setup_environment()
        self.all_ranks = make_mesh({"shard": self.world_size}, self.root_device)

    @property
    @override
    def shard_mesh(self) -> DeviceMesh | None:
        return self.all_ranks

    @override
    def divide(self, network: nn.Module) -> None:
        reason = undivided(network, getattr(network, "attention", NAME))
        if reason:
            raise ValueError(reason)
        mesh = self.device_mesh["context_parallel"]
        part = RowPart(mesh.get_local_rank(), mesh.size(), mesh.get_group())
        install(part)
        methods: Any = network
        methods.loss = loss_of_parts(methods.loss, part)
        methods.training_loss = without_balance(methods.training_loss)
        methods.log_p = log_p_of_parts(methods.log_p, part)
        methods.forward = logits_of_parts(methods.forward, part)


def undivided(network: Any, attention: str) -> str | None:
    """Why rows of a network, or of a class of networks, cannot be divided; None where they can."""
    name = getattr(network, "__name__", type(network).__name__)
    if not all(hasattr(network, method) for method in NEEDED):
        return (
            f"context parallelism divides the rows of causal language models, and {name} is none: "
            "a hybrid or bidirectional mask lets positions see later ones; take "
            "configs/strategy/fsdp2.yaml"
        )
    if attention != NAME:
        return (
            f"the attention of {name} is {attention}, which sees only the part of a row that its "
            f"rank holds; context parallelism needs {NAME}"
        )
    return None


def loss_of_parts(loss: Callable[..., Tensor], part: RowPart) -> Callable[..., Tensor]:
    """The loss of whole rows, each rank computing its part."""

    def whole(token_BL: Tensor, label_BL: Tensor, position_BL: Tensor, lengths: Any) -> Tensor:
        return part.total(loss(*part.of_rows(token_BL, label_BL, position_BL), lengths))

    return whole


def log_p_of_parts(log_p: Callable[..., Tensor], part: RowPart) -> Callable[..., Tensor]:
    """Log-probabilities of whole rows, each rank computing its part."""

    def whole(rows: tuple[Any, ...], temperature: float) -> Tensor:
        *tensors, lengths = rows
        return part.gather(log_p((*part.of_rows(*tensors), lengths), temperature), dim=1)

    return whole


def logits_of_parts(forward: Callable[..., Tensor], part: RowPart) -> Callable[..., Tensor]:
    """Logits of whole rows, each rank computing its part."""

    def whole(token_BL: Tensor, position_BL: Tensor, length_N: list[int]) -> Tensor:
        return part.gather(forward(*part.of_rows(token_BL, position_BL), length_N), dim=1)

    return whole


def without_balance(training_loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of training, refused where it has a term of whole batches."""

    def whole(*rows: Any) -> Any:
        losses = training_loss(*rows)
        if losses.balance is not None:
            raise ValueError(
                "the balance of a mixture of experts is one of whole rows, which context "
                "parallelism divides; take configs/strategy/fsdp2.yaml"
            )
        return losses

    return whole
