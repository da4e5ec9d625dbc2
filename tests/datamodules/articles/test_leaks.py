"""Training articles that are evaluated too, rows of lists, and hidden names."""

from datamodules.articles.files import ArticleFiles
from datamodules.articles.gap_sentences import GapSentences
from datamodules.articles.leaks import without_leaks
from datamodules.articles.source import Article
from datamodules.records.document import BadSample
from datamodules.text.normalise import HiddenNames
from tests.fixtures.articles import Given, write_rows

LONG_TEXT = "The council voted on Tuesday to spend twelve million on a bridge over the river. " * 3


def article(id: str, text: str, summary: str = "", origin: str = "o") -> Article:
    return Article(id, f"{origin}:{id}", text, summary)


def test_spelling_punctuation_and_the_rest_of_a_text_hide_no_leak():
    train = [
        article("a", LONG_TEXT.upper() + " More.", "One summary"),
        article("b", "Another text about something else", "The  'Same' title, as it stands !"),
        article("c", "Something of its own, quite long", "Short"),
    ]
    evaluated = [
        article("x", LONG_TEXT, "Other"),
        article("y", "No text in common with any", "the same title as it stands"),
        article("z", "Nothing at all in common here", "Short"),
    ]

    def kept(*fields):
        return [one.id for one in without_leaks(train, evaluated, fields)]

    assert kept("text") == ["b", "c"]
    assert kept("summary") == ["a", "c"]  # "Short" is no evidence
    assert kept("text", "summary") == ["c"]
    assert kept() == ["a", "b", "c"]


def test_passages_of_an_article_that_is_evaluated_are_leaks_of_it_however_late_they_come():
    late = " ".join(f"The {n} old dogs ran over the {n} hills. It rained {n}." for n in "abcdefg")
    whole = article("a", f"{LONG_TEXT}{late}", "A title of its own, quite long")
    other = article("b", late.upper(), "Another title of its own, quite long")
    passages = list(GapSentences(Given(whole, other), sentences=3, least=5).articles())
    assert {one.id[0] for one in passages} == {"a", "b"}
    assert len([one for one in passages if one.id[0] == "a"]) > 3

    def kept(evaluated, *fields):
        return {one.id[0] for one in without_leaks(passages, [evaluated], fields)}

    assert kept(whole, "text") == {"b"}
    assert kept(article("x", "Something else", whole.summary), "summary") == {"b"}
    assert kept(article("x", "Something else", whole.summary), "text") == {"a", "b"}


def test_training_leaves_out_what_is_evaluated_and_says_so(tmp_path, data, capsys):
    rows = [{"article": LONG_TEXT, "summary": "s"}, {"article": "one other text", "summary": "t"}]
    train = [ArticleFiles(str(write_rows(rows, tmp_path / "train.jsonl")))]
    test = [ArticleFiles(str(write_rows(rows[:1], tmp_path / "test.jsonl")))]
    found = data(train=train, validate=None, test=test, drop_leaks=["text"])
    assert [one.summary for one in found.articles("train")] == ["t"]
    assert (
        "1 of 2 articles are left out, since their text is evaluated too" in capsys.readouterr().out
    )
    assert len(data(train=train, validate=None, test=test).articles("train")) == 2


def test_each_entry_of_lists_is_an_article(tmp_path):
    rows = [
        {"titles": ["A", "B"], "articles": ["text a", "text b"], "stance": "left"},
        {"titles": ["C"], "articles": ["text c", "text d"], "stance": "left"},
        {"titles": "D", "articles": ["text e"], "stance": "left"},
    ]
    path = write_rows(rows, tmp_path / "t.jsonl")
    columns = {"text": "articles", "summary": "titles"}
    found = list(ArticleFiles(str(path), columns=columns, each=["titles", "articles"]).articles())
    place = f"{tmp_path.name}/t.jsonl"
    assert found == [
        Article(f"{place}:1.1", f"{place}:1.1", "text a", "A", "left"),
        Article(f"{place}:1.2", f"{place}:1.2", "text b", "B", "left"),
        BadSample(f"{place}:2", "lists of 1 titles and 2 articles"),
        BadSample(f"{place}:3", "no list in the column 'titles'"),
    ]


def test_names_are_hidden_in_articles_and_summaries(tmp_path):
    rows = [{"article": "CNN reports it.", "summary": "It, says CNN"}]
    path = write_rows(rows, tmp_path / "t.jsonl")
    [found] = ArticleFiles(str(path), hide=HiddenNames(["CNN"], by="X")).articles()
    assert isinstance(found, Article)
    assert (found.text, found.summary) == ("X reports it.", "It, says X")
