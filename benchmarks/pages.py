"""Tables of README.md and docs/, generated: `python -m benchmarks.pages`.

A page docs/results/<system>.md begins with a comment that holds YAML: the system, its paper, its
smallest run, and each claim of the paper beside ours. Between `<!-- generated: KIND ARGUMENTS -->`
and `<!-- end -->` any page may hold one of the tables of `TABLES`; this script rewrites them from
those headers, from the first comment of each config and from benchmarks/results/*.json.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
HEADER = re.compile(r"\A<!--\n(.*?)\n-->\n", re.S)
BLOCK = re.compile(r"(<!-- generated: (\w+)(.*?) -->\n).*?(<!-- end -->)", re.S)
SENTENCE = re.compile(r".*?(?<!sec)(?<!app)(?<!al)\.(?=\s|$)")
"""Up to the first full stop that ends no abbreviation."""
MET = {True: "yes", False: "**no**", None: "void"}


def pages() -> list[Path]:
    """Every page that may hold a generated table."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def headers() -> dict[str, dict[str, Any]]:
    """The header of the page of each system, by the page's name, in their order."""
    files = sorted((ROOT / "docs" / "results").glob("*.md"))
    found = {file.stem: HEADER.match(file.read_text()) for file in files}
    read = {name: yaml.safe_load(match[1]) for name, match in found.items() if match}
    return dict(sorted(read.items(), key=lambda page: (page[1].get("order", 100), page[0])))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; columns whose name ends in `:` are aligned to the right."""
    names = [name.rstrip(":") for name in head]
    rule = ["---:" if name.endswith(":") else "---" for name in head]
    lines = [names, rule, *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def systems() -> str:
    """One row a system: paper, smallest run, result, page."""
    rows = [
        (
            page["system"],
            page["paper"],
            f"`{page['run']}`, {page['time']}",
            page["result"],
            f"[{name}](docs/results/{name}.md)",
        )
        for name, page in headers().items()
        if "run" in page
    ]
    return table(("system", "paper", "smallest run, two cores", "result", "page"), rows)


def headlines() -> str:
    """Each claim of each paper beside ours."""
    rows = [
        (f"[{page['system']}]({name}.md)", *claim(found))
        for name, page in headers().items()
        for found in page.get("claims", [])
    ]
    return table(("system", "claim", "the paper", "ours", "verdict"), rows)


def verdicts(name: str) -> str:
    """The claims of one system."""
    rows = [claim(found) for found in headers()[name]["claims"]]
    return table(("claim", "the paper", "ours", "verdict"), rows)


def claim(found: dict[str, str]) -> tuple[str, str, str, str]:
    """The cells of one claim."""
    return found["claim"], found["paper"], found["ours"], f"**{found['verdict']}**"


def runs(*patterns: str) -> str:
    """The configs of a system and the first sentence of each."""
    files = [file for pattern in patterns for file in sorted((ROOT / "configs").glob(pattern))]
    shown = [file for file in files if file.stem != "base"]
    rows = [
        (f"`{file.relative_to(ROOT / 'configs').with_suffix('')}`", summary(file)) for file in shown
    ]
    return table(("config", "what it is"), rows)


def summary(config: Path) -> str:
    """The first sentence of the comment that a config begins with."""
    comment = re.match(r"(?:#.*\n)+", config.read_text())
    words = " ".join(re.sub(r"^#", "", comment[0] if comment else "", flags=re.M).split())
    sentence = SENTENCE.match(words)
    return (sentence[0] if sentence else words).replace("|", "/")


def measured(*names: str) -> str:
    """The rows of results files."""
    rows = [
        (f"`{name}`", row["what"].replace("|", "/"), *map(number, figures(row)), MET[row["met"]])
        for name in names
        for row in json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    ]
    return table(("file", "quantity", "measured:", "others:", "limit:", "aim:", "met"), rows)


def recorded(name: str, which: str) -> str:
    """A table that a results file holds as it is."""
    found = json.loads((RESULTS / f"{name}.json").read_text())["details"]["tables"][which]
    return table(found["head"], found["rows"])


def figures(row: dict[str, Any]) -> tuple[Any, ...]:
    """Measured, others, limit, aim."""
    return row["value"], row.get("peer"), row.get("limit"), row["goal"]


def number(value: float | None) -> str:
    """A figure as a cell."""
    return "" if value is None else f"{value:.4g}"


TABLES: dict[str, Callable[..., str]] = {
    "systems": systems,
    "headlines": headlines,
    "verdicts": verdicts,
    "runs": runs,
    "measured": measured,
    "recorded": recorded,
}
"""What a page may ask for, by name."""


def fresh(text: str) -> str:
    """The text of a page, each of its tables generated anew."""
    return BLOCK.sub(lambda part: part[1] + TABLES[part[2]](*part[3].split()) + part[4], text)


def stale() -> list[Path]:
    """Pages whose tables are not what they would be now."""
    return [page for page in pages() if fresh(page.read_text()) != page.read_text()]


def main() -> None:
    """Rewrite the tables of every page, and say which pages changed."""
    for page in stale():
        page.write_text(fresh(page.read_text()))
        print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
