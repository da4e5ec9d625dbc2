import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from modules.icl.selection.page import write_page
from modules.icl.selection.token_parts import TokenParts

POOL = SimpleNamespace(ids=["a:1", "<b>:2"])
COLUMNS = {"cosine_1": [0.25, -0.5], "loss": [1.5, 2.0], "norm": [3.0, 4.0]}
SHOWN = [[TokenParts(0, ["<s>", "fork"], [0.35, -0.1]), TokenParts(1, ["a & b"], [-0.5])]]


class Reader(HTMLParser):
    """The text of each element, and of spans their style and title."""

    def __init__(self):
        super().__init__()
        self.text, self.spans, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)
        if tag == "span":
            self.spans.append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)
        if self.open[-1:] == ["span"]:
            self.spans[-1]["text"] = data


@pytest.fixture
def read(tmp_path):
    write_page(COLUMNS, SHOWN, POOL, tmp_path / "documents.html")
    reader = Reader()
    reader.feed((tmp_path / "documents.html").read_text())
    assert reader.open == []
    return reader


def test_a_page_shows_scores_and_tokens_of_both_ends(read):
    text = " ".join("".join(read.text).split())
    for words in ("highest scores cosine 0.2500, loss 1.500 nats", "lowest scores cosine -0.5000"):
        assert words in text.replace("scorescosine", "scores cosine")
    assert "<b>:2" in text
    assert [one["text"] for one in read.spans[2:]] == ["<s>", "fork", "a & b"]


def test_colours_say_where_a_token_points_and_how_far(read):
    first, second, third = read.spans[2:]
    depth = [float(re.search(r"([\d.]+)\)", one["style"])[1]) for one in (first, second, third)]
    assert first["style"].startswith("background:rgba(20,100,210")
    assert second["style"].startswith("background:rgba(225,100,0")
    assert depth[1] < depth[0] <= depth[2] == 0.75
    assert first["title"] == "+0.35000"


def test_documents_without_any_parts_have_no_colour(tmp_path):
    write_page(COLUMNS, [[TokenParts(0, ["a"], [0.0])]], POOL, tmp_path / "documents.html")
    assert "rgba(225,100,0,0.00)" in (tmp_path / "documents.html").read_text()
