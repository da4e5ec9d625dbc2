"""Bytes of tensors that are alive, by what they are for, as operators make and free them.

It counts the storages of tensors, real or fake, and so what a step asks an allocator for: no
fragments, no scratch memory within a kernel. Each storage counts once, however many views it has.
"""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

KINDS = ("weights", "gradients", "optimizer", "activations", "temporary")
"""What bytes are for; activations are what is saved for the backward pass."""
WEIGHTS, GRADIENTS, OPTIMIZER, ACTIVATIONS, TEMPORARY = range(len(KINDS))
SMALL = 1 << 16
"""Elements up to which tensors that are made from nothing, such as positions, get values."""
Moments = NDArray[np.int64]
"""Bytes of each kind after every operator that made a tensor, [N, 5]."""


def fake_mode() -> FakeTensorMode:
    """A mode of tensors without memory that leaves this process able to fork.

    On a machine without CUDA the mode pretends to have a device, for which autograd would begin a
    thread with its first backward pass; processes that are forked then could have none. So there
    is one before.
    """
    torch.zeros((), requires_grad=True).backward()
    return FakeTensorMode(allow_non_fake_inputs=True)


class LiveBytes(TorchDispatchMode):
    """Follows the storages of all tensors that are made inside a `with`.

    Args:
        fake: Makes large tensors that depend on no other, such as noise, without memory; all are
            real where None.
    """

    def __init__(self, fake: FakeTensorMode | None = None):
        super().__init__()
        self.fake = fake
        self.live = [0] * len(KINDS)
        self.held: dict[int, tuple[int, int]] = {}
        self.moments: list[list[int]] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator and note what it made."""
        out = self._run(func, args, kwargs or {})
        made = [self._note(t, TEMPORARY) for t in tree_leaves(out) if isinstance(t, Tensor)]
        if any(made):
            self.moments.append(self.live.copy())
        return out

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.fake is not None and is_large(args, kwargs):
            with self.fake:
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def _note(self, tensor: Tensor, kind: int) -> bool:
        """Follow a storage; returns whether it is new."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.held:
            return False
        num = storage.nbytes()
        self.held[key] = (num, kind)
        self.live[kind] += num
        weakref.finalize(storage, self._free, key).atexit = False
        return True

    def _free(self, key: int) -> None:
        num, kind = self.held.pop(key)
        self.live[kind] -= num

    def mark(self, tensors: Iterable[Any], kind: int) -> None:
        """Say what some tensors are for; those that are new are followed from now on."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor) or self._note(tensor, kind):
                continue
            key = tensor.untyped_storage()._cdata
            num, before = self.held[key]
            self.live[before] -= num
            self.live[kind] += num
            self.held[key] = (num, kind)

    def _save(self, tensor: Tensor) -> Tensor:
        known = self.held.get(tensor.untyped_storage()._cdata)
        if known is not None and known[1] == TEMPORARY:
            self.mark([tensor], ACTIVATIONS)
        return tensor

    @contextmanager
    def following(self, module: nn.Module) -> Iterator[None]:
        """Within it, weights of a module, their gradients and what is saved for them are known."""
        self.mark([*module.parameters(), *module.buffers()], WEIGHTS)
        hooks = [
            p.register_post_accumulate_grad_hook(lambda p: self.mark([p.grad], GRADIENTS))
            for p in module.parameters()
            if p.requires_grad
        ]
        try:
            with self, saved_tensors_hooks(self._save, lambda tensor: tensor):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def taken(self) -> Moments:
        """The moments since the last call."""
        self.moments.append(self.live.copy())
        found, self.moments = np.array(self.moments, np.int64), []
        return found


def is_large(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an operator makes a large tensor from no other."""
    size = args[0] if args else None
    if not isinstance(size, list | tuple) or not all(isinstance(n, int) for n in size):
        return False
    given = tree_leaves((args[1:], kwargs))
    return prod(size) > SMALL and not any(isinstance(one, Tensor) for one in given)
