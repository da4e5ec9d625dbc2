"""Which parameters count in a similarity of gradients."""

from collections.abc import Iterable

from torch import Tensor, nn


def chosen_parameters(
    network: nn.Module,
    embeddings: bool = True,
    norms: bool = True,
    last_layers: int | None = None,
) -> list[str]:
    """Names of the trainable parameters that count: of adapters alone, where the rest is frozen.

    Args:
        network: Holds a stack of layers, as language models of transformers do.
        embeddings: Whether tables of tokens and positions count; a tied head is its table.
        norms: Whether weights and biases of norms count.
        last_layers: How many layers of the stack count, from its end; all where None. What stands
            outside the stack counts in any case.

    Raises:
        ValueError: Nothing is left, or the stack has fewer layers.
    """
    left_out: set[int] = set()
    if last_layers is not None:
        left_out |= ids(first_layers(network, last_layers))
    if not embeddings:
        left_out |= ids(one for one in network.modules() if isinstance(one, nn.Embedding))
    if not norms:
        left_out |= ids(one for one in network.modules() if is_norm(one))
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    chosen = [name for name, p in trained if id(p) not in left_out]
    if not chosen:
        raise ValueError(f"no trainable parameter of {type(network).__name__} is left to choose")
    return chosen


def ids(modules: Iterable[nn.Module]) -> set[int]:
    """What tells the parameters of some modules from others, in whatever name they are shared."""
    return {id(parameter) for module in modules for parameter in module.parameters()}


def is_norm(module: nn.Module) -> bool:
    """Whether a module's own weight is a vector, whatever it is called."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim == 1


def first_layers(network: nn.Module, num_last: int) -> list[nn.Module]:
    """The layers before the last ones, of the outermost list of layers.

    Raises:
        ValueError: There is no such list, or it is shorter.
    """
    stack = next((one for one in network.modules() if isinstance(one, nn.ModuleList)), None)
    if stack is None or not 0 < num_last <= len(stack):
        layers = 0 if stack is None else len(stack)
        raise ValueError(f"last_layers: {num_last} of a network with a stack of {layers} layers")
    return list(stack)[: len(stack) - num_last]
