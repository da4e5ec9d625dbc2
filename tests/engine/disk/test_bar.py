"""Bars are drawn on terminals, and do not fill logs."""

import io
import time

import pytest

from engine.disk import bar as module
from engine.disk.bar import bar, watched


class Screen(io.StringIO):
    """Collects what the bar prints."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


def screen(monkeypatch, is_terminal):
    shown = Screen(is_terminal)
    monkeypatch.setattr("sys.stderr", shown)
    return shown


@pytest.mark.parametrize(("is_terminal", "quiet"), [(True, False), (True, True), (False, False)])
def test_a_bar_is_drawn_on_a_terminal_unless_it_is_quiet(monkeypatch, is_terminal, quiet):
    shown = screen(monkeypatch, is_terminal)
    with bar(4, "step", "training", start=1, quiet=quiet) as drawn:
        drawn.update(3)
    is_drawn = is_terminal and not quiet
    assert ("4/4" in shown.getvalue() and "training" in shown.getvalue()) == is_drawn
    assert bool(shown.getvalue()) == is_drawn


def test_items_pass_a_bar_unchanged_and_short_work_draws_none(monkeypatch):
    shown = screen(monkeypatch, True)
    assert list(watched(iter("abc"), " items", "reading")) == ["a", "b", "c"]
    assert "reading" not in shown.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_long_work_shows_on_terminals_often_and_in_logs_seldom(monkeypatch, is_terminal):
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    shown = screen(monkeypatch, is_terminal)
    for _ in watched(range(10), " items", "reading", 10):
        time.sleep(0.15)
    num_drawn = shown.getvalue().count("reading")
    assert num_drawn >= 5 if is_terminal else num_drawn <= 2
