"""Plots of a sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.study.drawing import figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, Any]]
FAILED = ("failed", "killed", "refused", "out of memory")
"""Ends that are marked by a bar."""


def history(path: Path, rows: Rows, objective: str) -> None:
    """Value of each trial and the best so far; pruned ones where they were, failed ones below."""
    drawing, axes = figure(1, 1)
    one = axes[0]
    for column, label, marker, colour in (
        ("value", "finished", "o", "tab:blue"),
        ("last_value", "pruned", "x", "tab:gray"),
    ):
        points = [(r["trial"], r[column]) for r in rows if r[column] is not None]
        if points:
            xs, ys = zip(*points, strict=True)
            one.scatter(xs, ys, marker=marker, c=colour, label=label, s=28)
    best = [(row["trial"], row["best"]) for row in rows if row["best"] is not None]
    one.step(*zip(*best, strict=True), where="post", c="tab:red", label="best so far")
    failed = [r["trial"] for r in rows if r["ended"] in FAILED]
    for number in failed:
        once = "failed" if number == failed[0] else None
        one.axvline(number, c="tab:red", alpha=0.2, lw=4, label=once)
    one.set(xlabel="trial", ylabel=objective)
    one.legend(frameon=False)
    save(drawing, path)


def importances(path: Path, rows: Rows, names: Mapping[str, str], objective: str) -> None:
    """How much of the variance of the objective each key accounts for."""
    drawing, axes = figure(1, 1, height=1.2 + 0.35 * len(rows))
    labels = [names[row["key"]] for row in rows][::-1]
    axes[0].barh(labels, [row["importance"] for row in rows][::-1], color="tab:blue")
    axes[0].set(xlabel=f"importance for {objective} (fANOVA)", xlim=(0, 1))
    save(drawing, path)


def slices(
    path: Path, rows: Rows, names: Mapping[str, str], objective: str, is_lower: bool
) -> None:
    """The objective against each key; the best trial is marked."""
    keys = [key for key in names if any(key in row for row in rows)]
    drawing, axes = figure(len(keys), min(4, len(keys)))
    best = best_of(rows, objective, is_lower)
    for axis, key in zip(axes, keys, strict=True):
        seen = [row for row in rows if key in row]
        values, ticks = placed([row[key] for row in seen])
        axis.scatter(values, [row[objective] for row in seen], c="tab:blue", s=24, alpha=0.8)
        if best in seen:
            at = values[seen.index(best)]
            axis.scatter([at], [best[objective]], marker="*", c="tab:red", s=140, zorder=3)
        scale(axis, values, ticks)
        axis.set(xlabel=names[key])
    axes[0].set_ylabel(objective)
    save(drawing, path)


def parallel(
    path: Path, rows: Rows, names: Mapping[str, str], objective: str, is_lower: bool
) -> None:
    """A line a trial through its value of each key, coloured by the objective."""
    from matplotlib import colormaps

    keys = [key for key in names if any(key in row for row in rows)]
    drawing, axes = figure(1, 1, width=2.0 + 1.8 * len(keys))
    axis, found = axes[0], [row[objective] for row in rows]
    low, high = min(found), max(found)
    heights = {key: spread(rows, key) for key in keys}
    order = sorted(range(len(rows)), key=lambda i: found[i], reverse=is_lower)  # the best on top
    for index in order:
        share = (found[index] - low) / ((high - low) or 1.0)
        colour = colormaps["viridis_r" if is_lower else "viridis"](share)
        line = [(x, heights[key].get(index)) for x, key in enumerate(keys)]
        line = [*line, (len(keys), share)]
        there = [(x, y) for x, y in line if y is not None]
        axis.plot(*zip(*there, strict=True), c=colour, alpha=0.85, marker="o", ms=3)
    for x, key in enumerate(keys):
        axis.axvline(x, c="0.8", lw=0.8, zorder=0)
        for height, label in edges(rows, key):
            axis.annotate(label, (x, height), fontsize=7, ha="left", va="center", color="0.3")
    for height, value in ((0.0, low), (1.0, high)):
        axis.annotate(f"{value:.4g}", (len(keys), height), fontsize=7, color="0.3")
    axis.set_xticks(range(len(keys) + 1), [*(names[key] for key in keys), objective], rotation=15)
    axis.set_yticks([])
    axis.set_xlim(-0.2, len(keys) + 0.5)
    save(drawing, path)


def front(
    path: Path, points: Sequence[tuple[float, float, bool, int]], objectives: Sequence[str]
) -> None:
    """Two objectives against one another; trials that none beats in both are marked."""
    drawing, axes = figure(1, 1)
    for on_front, colour, label in ((False, "0.7", "others"), (True, "tab:red", "Pareto front")):
        chosen = [point for point in points if point[2] is on_front]
        if chosen:
            xs, ys = [point[0] for point in chosen], [point[1] for point in chosen]
            axes[0].scatter(xs, ys, c=colour, label=label)
        for point in chosen if on_front else []:
            axes[0].annotate(f" {point[3]}", point[:2], fontsize=8)
    axes[0].set(xlabel=objectives[0], ylabel=objectives[1])
    axes[0].legend(frameon=False)
    save(drawing, path)


def best_of(rows: Rows, objective: str, is_lower: bool) -> Mapping[str, Any]:
    """The row with the best value."""
    return (min if is_lower else max)(rows, key=lambda row: row[objective])


def placed(values: Sequence[Any]) -> tuple[list[float], list[str] | None]:
    """Positions of values on an axis; choices have labels."""
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
        return [float(one) for one in values], None
    labels = sorted({label(one) for one in values})
    return [float(labels.index(label(one))) for one in values], labels


def label(value: Any) -> str:
    """A choice on an axis: of a class its name."""
    return str(value).rpartition(".")[2] if isinstance(value, str) else str(value)


def scale(axis: "Axes", values: Sequence[float], ticks: list[str] | None) -> None:
    """Scale an axis: logarithmic where values span more than a decade."""
    if ticks is not None:
        axis.set_xticks(range(len(ticks)), ticks, rotation=15)
    elif is_wide(values):
        axis.set_xscale("log")


def is_wide(values: Sequence[float]) -> bool:
    """Whether values are positive and span more than a decade."""
    return min(values) > 0 and max(values) / min(values) > 10


def spread(rows: Rows, key: str) -> dict[int, float]:
    """Height of each row's value of a key, from 0 to 1."""
    from math import log

    there = [index for index, row in enumerate(rows) if key in row]
    values, _ = placed([rows[index][key] for index in there])
    if is_wide(values):
        values = [log(value) for value in values]
    low, size = min(values), (max(values) - min(values)) or 1.0
    return {i: (value - low) / size for i, value in zip(there, values, strict=True)}


def edges(rows: Rows, key: str) -> list[tuple[float, str]]:
    """Heights and labels on the axis of a key: every choice, or the ends of a range."""
    there = [row[key] for row in rows if key in row]
    _, ticks = placed(there)
    if ticks is None:
        low, high = min(there), max(there)
        return [(0.0, f" {low:.4g}")] + ([(1.0, f" {high:.4g}")] if high != low else [])
    return [(index / max(1, len(ticks) - 1), f" {text}") for index, text in enumerate(ticks)]
