"""What is reported of a step, as people read it."""

from callbacks.progress import duration


def line(step: int, row: dict[str, float], max_steps: int, pace: float = 0.0) -> str:
    """The report as people read it.

    Args:
        step: Optimizer steps so far.
        row: What is reported.
        max_steps: Where the run ends; -1 where steps do not say.
        pace: Seconds a step takes, all around it included; 0 where unknown.
    """
    of = f"/{max_steps}" if max_steps > 0 else ""
    losses = [quantity(k.removeprefix("train/"), v) for k, v in row.items() if "train/" in k]
    parts = [f"step {step}{of}", *losses]
    rates = [f"{value:.2e}" for name, value in row.items() if name.startswith("learning_rate")]
    if rates:
        parts.append(f"lr {' '.join(rates)}")
    for name, value in row.items():
        if name.endswith("_per_second") and name != "flop_per_second":
            parts.append(f"{si(value).strip()} {name.removesuffix('_per_second')}/s")
    if "flop_per_second" in row:
        share = row["matmul_share"]
        parts.append(f"{si(row['flop_per_second'])}FLOP/s ({share:.0%} of matmul)")
    parts.append(f"{row['memory_bytes'] / 2**30:.2f} GiB")
    if pace and step < max_steps:
        parts.append(f"{duration(pace * (max_steps - step))} left")
    return " · ".join(parts)


def quantity(name: str, value: float) -> str:
    """A quantity as people read it; counts have no decimals."""
    return f"{name} {value}" if isinstance(value, int) else f"{name} {value:.4f}"


def si(value: float) -> str:
    """A number with a unit prefix: 1234567 -> '1.23 M'."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(value) < 1000:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:.3g} E"
