"""Optimizers that torch does not have in this form."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Coefficients of an iteration that drives singular values to about 1 (Jordan et al., 2024)."""


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the matrices of transformer blocks, AdamW for everything else, under one schedule.

    Muon (Jordan et al., 2024, "Muon: an optimizer for hidden layers") steps along the nearest
    orthogonal matrix to the momentum, so that all directions of a matrix learn alike. Weight decay
    is decoupled, as in AdamW. Matrices that are sharded over ranks (DTensor) are gathered one by
    one for their step; momentum stays sharded. DeepSpeed's flat parts are no matrices.

    Args:
        params: Groups of parameters; those marked `is_hidden` get Muon.
        lr: Of Muon: the spectral norm of a step, for matrices with no more rows than columns.
        adamw_ratio: Learning rate of all else over `lr`.
        momentum: Of Muon, in Nesterov's form.
        betas: Of AdamW.
        eps: Of AdamW.
        weight_decay: Of both; the vectors of our systems come in groups without any.
        num_iterations: Newton-Schulz iterations.

    Raises:
        ValueError: A number is out of bounds, or no group says whether it is hidden.
    """

    needs_matrices = True
    """Whether flat parts, as DeepSpeed's, cannot be stepped on; `engine.preflight` asks."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        adamw_ratio: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        num_iterations: int = 5,
    ):
        bounds = {"lr": lr, "adamw_ratio": adamw_ratio, "eps": eps, "weight_decay": weight_decay}
        for name, value in bounds.items():
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        for name, value in (("momentum", momentum), ("beta_1", betas[0]), ("beta_2", betas[1])):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {value}")
        if num_iterations < 1:
            raise ValueError(f"num_iterations must be at least 1, got {num_iterations}")
        defaults = bounds | {"momentum": momentum, "betas": betas, "num_iterations": num_iterations}
        groups = list(params)
        if not any(isinstance(group, dict) and "is_hidden" in group for group in groups):
            raise ValueError(
                "MuonAdamW needs groups that say whether they are is_hidden; take torch.optim.AdamW"
            )
        super().__init__(groups, defaults | {"is_hidden": False})

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            step = self.step_hidden if group["is_hidden"] else self.step_others
            step(group, [p for p in group["params"] if p.grad is not None])
        return loss

    def step_hidden(self, group: dict[str, Any], matrices: Sequence[Tensor]) -> None:
        """Muon; whole matrices of one shape go through the iterations together."""
        for members in alike(matrices):
            updates = [whole(self.momentum_of(p, group["momentum"])) for p in members]
            step_MRC = orthogonal(torch.stack(updates), group["num_iterations"])
            R, C = step_MRC.shape[1:]
            size = group["lr"] * sqrt(max(1.0, R / C))
            for p, step_RC in zip(members, step_MRC, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(sharded_as(step_RC.to(p.dtype), p), alpha=-size)

    def momentum_of(self, p: Tensor, momentum: float) -> Tensor:
        """Gradient and its running sum, one step ahead."""
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].mul_(momentum).add_(p.grad)
        return p.grad.add(state["momentum"], alpha=momentum)

    def step_others(self, group: dict[str, Any], others: Sequence[Tensor]) -> None:
        """AdamW (Loshchilov & Hutter, 2019)."""
        lr, (beta_1, beta_2) = group["lr"] * group["adamw_ratio"], group["betas"]
        for p in others:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
            state["step"] += 1
            state["mean"].lerp_(p.grad, 1 - beta_1)
            state["square"].lerp_(p.grad.square(), 1 - beta_2)
            mean = state["mean"] / (1 - beta_1 ** state["step"])
            root = (state["square"] / (1 - beta_2 ** state["step"])).sqrt()
            p.mul_(1 - lr * group["weight_decay"])
            p.addcdiv_(mean, root.add_(group["eps"]), value=-lr)


def alike(matrices: Sequence[Tensor]) -> list[list[Tensor]]:
    """Whole matrices by shape; sharded ones one by one, so that one at a time is gathered."""
    groups: dict[Any, list[Tensor]] = defaultdict(list)
    for p in matrices:
        groups[id(p) if hasattr(p, "full_tensor") else p.shape].append(p)
    return list(groups.values())


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor gathered, on every rank that holds a part; others pass through."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def sharded_as(value: Tensor, parameter: Any) -> Tensor:
    """A tensor that every rank holds whole, divided as a parameter is; nothing is sent."""
    if not hasattr(parameter, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value, mesh, placements, src_data_rank=None)


def orthogonal(matrix_MRC: Tensor, num_iterations: int) -> Tensor:
    """Nearly orthogonal matrices with the singular vectors of the given ones.

    Newton-Schulz iterations X <- a X + (b A + c A^2) X with A = X X^T, which bring singular values
    into about [0.7, 1.2]; in bfloat16 on a GPU, else in single precision or wider.

    Args:
        matrix_MRC: M matrices of R rows and C columns.
        num_iterations: How many.
    """
    R, C = matrix_MRC.shape[1:]
    dtype = torch.promote_types(matrix_MRC.dtype, torch.float32)
    x = matrix_MRC.to(torch.bfloat16 if matrix_MRC.is_cuda else dtype)
    x = x.mT if R > C else x
    x = x / x.flatten(1).norm(dim=1)[:, None, None].clamp(min=1e-7)
    a, b, c = POLYNOMIAL
    for _ in range(num_iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if R > C else x
