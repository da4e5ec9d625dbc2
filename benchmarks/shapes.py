"""Whether pictures of shapes are read back right, how fast they are drawn, and how they look."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image

from benchmarks.bench.harness import Bench, run
from datamodules.synthetic.shapes.recognise import agreement, read
from datamodules.synthetic.shapes.render import Pixels, render
from datamodules.synthetic.shapes.scenes import SIDE, scene

SHEET = Path(__file__).parent.parent / "docs" / "shapes.png"
"""Where the picture of many scenes is kept."""
SIGMA = 8.0
"""Standard deviation of the noise, of 255."""
Spoil = Callable[[Pixels, int], Pixels]


def clean(image: Pixels, seed: int) -> Pixels:
    """The picture as it is."""
    return image


def noised(image: Pixels, seed: int) -> Pixels:
    """Normal noise on every value."""
    noise = np.random.default_rng(seed).normal(0, SIGMA, image.shape)
    return (image + noise).round().clip(0, 255).astype(np.uint8)


def blurred(image: Pixels, seed: int) -> Pixels:
    """Every pixel averaged with its neighbours, 1 : 2 : 1 in both directions."""
    padded = np.pad(image.astype(np.float32), ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    both = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    return (both / 16).round().astype(np.uint8)


SPOILS: dict[str, Spoil] = {"clean": clean, "noised": noised, "blurred": blurred}


def read_back(spoil: Spoil, num_scenes: int) -> dict[str, float]:
    """Rates of what is read right from pictures of all pairs of a colour and a form."""
    rates = []
    for index in range(num_scenes):
        drawn = scene(1, index, "all")
        rates.append(agreement(drawn.shapes, read(spoil(render(drawn), index), limit=3)))
    return {name: float(np.mean([rate[name] for rate in rates])) for name in rates[0]}


def draw() -> float:
    """Seconds to make up a scene and render it."""
    start = perf_counter()
    for index in range(200):
        render(scene(2, index))
    return (perf_counter() - start) / 200


def sheet(rows: int = 4, columns: int = 6, scale: int = 3, gap: int = 4) -> Image.Image:
    """Scenes side by side, enlarged; those of the last row show held-out pairs."""
    step = SIDE * scale + gap
    image = Image.new("RGB", (columns * step + gap, rows * step + gap), "white")
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        shown = render(scene(3, index, "held_out" if row == rows - 1 else "train"))
        large = Image.fromarray(shown.repeat(scale, 0).repeat(scale, 1))
        image.paste(large, (gap + column * step, gap + row * step))
    return image


def measure(bench: Bench) -> None:
    """Reads back clean and spoiled pictures of shapes, times the drawing, makes a sheet of them."""
    for name, spoil in SPOILS.items():
        rates = read_back(spoil, 200 if bench.quick else 10000)
        bench.details[name] = rates
        bench.say(f"{name}: {', '.join(f'{what} {rate:.4f}' for what, rate in rates.items())}")
        bench.row(0, f"scenes read all right, {name}", rates["all"], 0.99, at_least=True)
    timings = bench.time("draw", {"draw": draw}, "draw")
    milliseconds = 1000 * timings.time("draw").median
    bench.row(0, "scene and picture, ms on one core", milliseconds, 1.0, timings)
    sheet().save(SHEET, optimize=True)


if __name__ == "__main__":
    run("shapes", measure)
