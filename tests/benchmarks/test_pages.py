import re
from pathlib import Path

import pytest

from benchmarks import pages

ROOT = Path(__file__).parents[2]
ENTRY = re.compile(r"- (\d{4}-\d\d-\d\d) \[(\w+)\] \S")
LINK = re.compile(r"\]\(([^)\s:#]+)(?:#[\w-]+)?\)|^\[\w+\]: (\S+)$", re.M)
LINKING = [*pages.pages(), ROOT / "LOG.md", ROOT / "CONTRIBUTING.md"]


def cells(text: str) -> list[str]:
    """Every cell of the tables of a page."""
    rows = re.findall(r"^\| (.*) \|$", text, re.M)
    return [cell for row in rows for cell in row.split(" | ")]


def test_no_generated_table_is_stale():
    assert pages.stale() == [], "run python -m benchmarks.pages"


def test_no_cell_of_the_readme_is_longer_than_160_characters():
    table_cells = cells((ROOT / "README.md").read_text())
    assert table_cells
    assert [cell for cell in table_cells if len(cell) > 160] == []


def test_the_log_has_one_dated_line_a_result_newest_first():
    lines = (ROOT / "LOG.md").read_text().splitlines()
    assert [line for line in lines if len(line) > 100] == []
    entries = [line for line in lines if line.startswith("- ")]
    dates = [match[1] for line in entries if (match := ENTRY.match(line))]
    assert len(dates) == len(entries) > 70
    assert dates == sorted(dates, reverse=True)


def test_every_line_of_the_log_leads_to_a_page():
    text = (ROOT / "LOG.md").read_text()
    named = {match[2] for match in ENTRY.finditer(text)}
    assert named == set(re.findall(r"^\[(\w+)\]: docs/results/\1\.md$", text, re.M))


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page):
    links = ["".join(match) for match in LINK.findall(page.read_text())]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", pages.headers())
def test_a_page_says_question_command_and_verdict(name):
    text = (ROOT / "docs" / "results" / f"{name}.md").read_text()
    assert all(f"**{part}.**" in text for part in ("Question", "Command", "Verdict"))
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", text)


@pytest.mark.parametrize("name", pages.headers())
def test_a_claim_holds_fails_or_is_open(name):
    claims = pages.headers()[name].get("claims", [])
    assert {claim["verdict"] for claim in claims} <= {"holds", "fails", "open"}


def test_a_table_is_made_anew_between_its_markers(monkeypatch):
    monkeypatch.setitem(pages.TABLES, "echo", lambda *words: pages.table(("a", "b:"), [words]))
    page = "before\n<!-- generated: echo 1 2 -->\nold\n<!-- end -->\nafter\n"
    table = "| a | b |\n| --- | ---: |\n| 1 | 2 |\n"
    made = f"before\n<!-- generated: echo 1 2 -->\n{table}<!-- end -->\nafter\n"
    assert pages.fresh(page) == made == pages.fresh(made)


def test_a_config_is_summed_up_by_the_first_sentence_of_its_comment(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("# As in Han et al. (2024, sec. 4.2): rows of\n# 1.5 k. More.\na: 1\n")
    assert pages.summary(config) == "As in Han et al. (2024, sec. 4.2): rows of 1.5 k."
