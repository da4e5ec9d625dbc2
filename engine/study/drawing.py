"""Figures without a screen."""

from pathlib import Path
from typing import TYPE_CHECKING

from engine.disk.whole import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure(
    num: int, columns: int, width: float | None = None, height: float | None = None
) -> tuple["Figure", list["Axes"]]:
    """A figure of some panels in rows; those left over are hidden.

    Args:
        num: Number of panels.
        columns: Panels in a row.
        width: Of all, in inches; None gives each panel its own.
        height: Likewise.

    Returns:
        The figure and its panels.
    """
    from matplotlib.figure import Figure

    columns = max(1, columns)
    rows = max(1, -(-num // columns))
    size = (
        width or (6.4 if num <= 1 else 3.2 * columns),
        height or (4.0 if num <= 1 else 3.0 * rows),
    )
    drawing = Figure(figsize=size, layout="constrained")
    panels = list(drawing.subplots(rows, columns, squeeze=False).flat)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[max(1, num) :]:
        panel.set_visible(False)
    return drawing, panels[: max(1, num)]


def save(drawing: "Figure", path: Path) -> None:
    """Write a figure as PNG, all or nothing."""
    with whole(path) as draft:
        drawing.savefig(draft, dpi=130, format="png")
