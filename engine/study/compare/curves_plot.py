"""Curves of several runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.study.drawing import figure, save
from engine.study.results import Curve

MOST = 9
"""Panels of the figure."""
NAMED = 12
"""Runs that a legend names."""


def draw(path: Path, curves: Mapping[str, Mapping[str, Curve]], quantities: Sequence[str]) -> bool:
    """Draw a panel a quantity and a line a run; whether there was anything to draw.

    Args:
        path: The PNG.
        curves: Curves of each run.
        quantities: In the order of the panels; those of a single step are left out.
    """
    lines = {name: {run: c[name] for run, c in curves.items() if name in c} for name in quantities}
    drawn = [name for name in quantities if any(len(one) > 1 for one in lines[name].values())]
    drawn = sorted(drawn, key=lambda name: "/" not in name)[:MOST]  # losses before speeds
    if not drawn:
        return False
    drawing, panels = figure(len(drawn), min(3, len(drawn)))
    for panel, name in zip(panels, drawn, strict=True):
        for index, run in enumerate(curves):
            curve = lines[name].get(run, {})
            style = "-" if index < 10 else "--"
            panel.plot([*curve], [*curve.values()], style, c=f"C{index % 10}", lw=1.2, label=run)
        panel.set(title=name, xlabel="step")
    if len(curves) <= NAMED:
        labels = panels[0].get_legend_handles_labels()
        drawing.legend(*labels, loc="outside lower center", ncols=3, frameon=False)
    save(drawing, path)
    return True
