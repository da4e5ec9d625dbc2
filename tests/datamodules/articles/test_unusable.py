"""What data of articles cannot use."""

import json

import pytest

from datamodules.articles.source import Article
from tests.fixtures.articles import (
    Reads,
    batches,
    stories,
    story,
    trainer,
)


def test_long_articles_are_cut_counted_and_told_in_one_line(data, capsys):
    short = Article("a1", "f:2", "to be", "is", "center")
    found = data(story(0, num_words=40), short, story(2, summary="one " * 9))
    [batch] = batches(found)
    assert batch["cut_B"][0] > 100
    assert batch["cut_B"][1] == 0
    assert batch["article_B"][0] == found.articles("test")[0].text
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("test: 3 articles (1 left, 1 center, 1 right); 2 are longer than 12 tok")
    assert "1 have a summary longer than 6 tokens, which is cut" in line
    share = sum(batch["cut_B"]) / sum(len(one) for one in found._items["test"].tokens)
    assert f"({share:.1%} of all tokens)" in line


def test_empty_articles_and_in_training_empty_summaries_are_bad_and_listed(data, tmp_path):
    articles = [*stories(6), story(6, summary=""), Article("b", "f:8", " \n"), story(8)]
    found = data(*articles, max_bad_rate=0.5)
    with pytest.warns(UserWarning, match=r"2 of 9 documents are bad .*f:7 \(the summary is empty"):
        trainer(tmp_path, max_steps=1, limit_val_batches=0).fit(Reads(), found)
    assert len(found.articles("train")) == 7
    assert len(found.articles("validate")) == 8
    lines = [json.loads(line) for line in (tmp_path / "bad_samples.jsonl").open()]
    assert [(row["stage"], row["origin"], row["reason"]) for row in lines] == [
        ("train", "f:7", "the summary is empty"),
        ("train", "f:8", "the article is empty"),
        ("validate", "f:8", "the article is empty"),
    ]
    with pytest.raises(ValueError, match=r"given: 2 of 9 documents are bad .*f:8 \(the article"):
        data(*articles).setup("fit")


def test_a_stance_that_is_not_known_is_named_with_those_that_are(data):
    with pytest.raises(ValueError, match=r"f:2: the stance 'green' is none of left, center, right"):
        data(story(0), story(1, stance="green")).setup("test")
    with pytest.raises(ValueError, match=r"f:1 asks for the stance 'rihgt', which is none of left"):
        data(story(0, asked=("rihgt",))).setup("test")
    with pytest.raises(ValueError, match=r"asked: the stance 'rihgt' is none of left, center, rig"):
        data(asked=["left", "rihgt"])
    for asked in ([], ["left", "left"]):
        with pytest.raises(ValueError, match="asked must name each stance once"):
            data(asked=asked)
    with pytest.raises(ValueError, match="two or more different names, got left, left"):
        data(stances=["left", "left"])


def test_two_articles_of_one_id_are_refused_with_both_origins(data):
    with pytest.raises(ValueError, match=r"two articles have the id 'a1' \(f:2 and f:9\)"):
        data(*stories(3), Article("a1", "f:9", "some words")).setup("test")


def test_what_has_no_source_is_named(data):
    for part, command in {"train": "fit", "validate": "validate", "test": "test"}.items():
        with pytest.raises(ValueError, match=rf"no {part} articles: give data\.init_args\.{part}"):
            data(story(0), **{part: None}).setup(command)
    without = data(story(0), validate=None)
    without.setup("fit")
    assert without.val_dataloader() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"article_length": 2},
        {"summary_length": 1},
        {"batch_size": 0},
        {"limit": 0},
        {"max_bad_rate": 1.5},
        {"pool_size": 0},
    ],
)
def test_a_number_out_of_bounds_is_named(data, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        data(**wrong)
