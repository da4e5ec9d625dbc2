"""Sees every use of chosen parameters in a forward pass, and meets them again in backward.

Shape legend: B = rows, L = row length, T = B * L.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.graph import _engine_run_backward
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves
from typing_extensions import override

from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.operations import OPERATIONS, VECTOR, Use, Way

Meeting = Callable[[Tensor, Tensor], None]
"""Gets the gradient of an operation's output, and what the operation saved."""


class Account(Protocol):
    """Adds up what it is told of each parameter."""

    def announce(self, name: str, way: Way, saved: Tensor) -> None:
        """Hear of a use in the forward pass, and again where a block is computed again."""

    def add(self, name: str, way: Way, left_T: Tensor, right_T: Tensor) -> None:
        """Meet it in backward, with the two factors of its way for each token."""


class Meet(torch.autograd.Function):
    """The identity; in backward, tells of the gradient that passes.

    What a meeting needs is kept as autograd keeps it, so that activation checkpointing frees it.
    The scalar `start` is what the loss is differentiated by: no other gradient is made.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, start: Tensor, saved: Tensor, meeting: Meeting) -> Tensor:
        """The same values."""
        ctx.meeting = meeting
        ctx.save_for_backward(saved)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """The same gradient."""
        (saved,) = ctx.saved_tensors
        ctx.meeting(gradients[0], saved)
        return gradients[0], None, None, None


class Watch(TorchFunctionMode):
    """Inside its `with`, the accounts are told of each use of a chosen parameter.

    Args:
        network: Holds the parameters.
        names: Of the chosen ones.
        documents: Where documents lie in the batch.
        accounts: What adds up.

    Raises:
        ValueError: The network has no parameter of such a name.
    """

    def __init__(
        self,
        network: nn.Module,
        names: Iterable[str],
        documents: DocumentTable,
        accounts: Sequence[Account],
    ):
        super().__init__()
        self.network = network
        self.names = {id(p): name for name, p in parameters_called(network, names).items()}
        self.documents = documents
        self.accounts = accounts
        self.start = torch.zeros((), requires_grad=True)
        self.met: set[str] = set()
        self.in_backward = False

    def backward(self, loss: Tensor) -> None:
        """Meet all chosen parameters.

        Raises:
            ValueError: Some were not met; the message names them.
        """
        self.in_backward = True
        if loss.requires_grad:
            # What `torch.autograd.grad` calls; that itself is a function of torch, which runs
            # outside this mode, and blocks that are computed again would not be seen.
            unit = (torch.ones_like(loss),)
            _engine_run_backward((loss,), unit, False, False, (self.start,), True)
        missing = sorted(set(self.names.values()) - self.met)
        if missing:
            raise ValueError(
                f"no gradient was seen at {', '.join(missing[:3])} ({len(missing)} in all): the "
                "loss does not depend on it, or an operation hides it; choose other parameters"
            )

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch; where it reads chosen parameters, tie a meeting to each."""
        given = dict(kwargs or {})
        out = func(*args, **given)
        read = [x for x in tree_leaves((args, given)) if id(x) in self.names]
        if not read or not makes_tensor(out, read):
            return out
        if self.in_backward and not torch.is_grad_enabled():
            return out  # a backward function reads it; blocks computed again enable gradients
        with self.naming(read[0], func):
            if not torch.is_grad_enabled():
                raise ValueError("it is read where no gradients are made, as inside a Function")
            for use in uses(func, args, given):
                if id(use.parameter) in self.names:
                    out = self.tie(out, use)
        return out

    def tie(self, y: Tensor, use: Use) -> Tensor:
        """The output of an operation, whose gradient will be told."""
        name = self.names[id(use.parameter)]
        y, saved = self.for_all_rows(y, use.saved)
        self.check_shape(y, use.way)
        for account in self.accounts:
            account.announce(name, use.way, saved)

        def meet(gradient: Tensor, saved: Tensor) -> None:
            self.met.add(name)
            left, right = (self.by_token(x, use.way) for x in use.factors(gradient, saved))
            for account in self.accounts:
                account.add(name, use.way, left, right)

        out: Tensor = Meet.apply(y, self.start.to(y.device), saved, meet)
        return out

    def for_all_rows(self, y: Tensor, saved: Tensor) -> tuple[Tensor, Tensor]:
        """What was computed once for all rows, as positions are, for each row by itself."""
        rows, length = self.documents.num_rows, self.documents.row_length
        if rows == 1 or y.shape[:-1] not in ((1, length), (length,)):
            return y, saved
        rest = saved.shape[y.ndim - 1 :]
        return y.expand(rows, length, -1), saved.expand(rows, length, *rest)

    def check_shape(self, y: Tensor, way: Way) -> None:
        """Whether an output has its tokens in front; behind them vectors may come in heads."""
        shape = (self.documents.num_rows, self.documents.row_length)
        behind = y.ndim - (2 if y.shape[:2] == shape else 1)
        in_front = y.shape[:2] == shape or y.shape[0] == self.documents.num_tokens
        if not in_front or (behind != 1 and way is not VECTOR):
            raise ValueError(f"an output of {tuple(y.shape)} is not one of {shape} tokens")

    def by_token(self, x: Tensor, way: Way) -> Tensor:
        """One factor with all tokens in one dimension; vectors of heads are added."""
        shape = (self.documents.num_rows, self.documents.row_length)
        x_T = x.flatten(0, 1) if x.shape[:2] == shape else x
        return x_T.flatten(1, -2).sum(1) if way is VECTOR and x_T.ndim > 2 else x_T

    @contextmanager
    def naming(self, parameter: Tensor, func: Callable[..., Any]) -> Iterator[None]:
        """Refusals name the parameter, the kind of its module and the function."""
        try:
            yield
        except ValueError as error:
            name = self.names[id(parameter)]
            kind = type(self.network.get_submodule(name.rpartition(".")[0])).__name__
            called = resolve_name(func) or str(func)
            raise ValueError(
                f"the gradient of {name}, of a {kind}, cannot be taken by token: "
                f"{called}: {error}; choose other parameters"
            ) from None


def parameters_called(network: nn.Module, names: Iterable[str]) -> dict[str, nn.Parameter]:
    """Parameters by name, as forward passes read them; a shared one has the first of its names.

    Raises:
        ValueError: There is none of such a name.
    """
    there = whole_parameters(network)
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ValueError(f"{type(network).__name__} has no parameter {', '.join(unknown[:3])}")
    return {name: there[name] for name in names}


def whole_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters; of FSDP2's shards the gathered ones, empty but in passes of their module."""
    there = dict(network.named_parameters())
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.unshard()  # only these are seen by operations, and they stay the same objects
            named = network.named_parameters()
            there |= {name: p for name, p in named if not isinstance(p, DTensor)}
            module.reshard()
    return there


def makes_tensor(out: Any, read: Sequence[Tensor]) -> bool:
    """Whether a function computed something of what it read: no shape, dtype, or the same again."""
    tensors = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
    return any(all(x is not one for one in read) for x in tensors)


def uses(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[Use]:
    """How an operation reads its parameters.

    Raises:
        ValueError: It is none that is known, or is called in a way that is not.
    """
    if func not in OPERATIONS:
        known = ", ".join(sorted({reading.__name__ for reading in OPERATIONS.values()}))
        raise ValueError(f"it is none of {known}")
    return OPERATIONS[func](*args, **kwargs)
