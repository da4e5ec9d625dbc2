"""Articles from files and from a copy of a dataset."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from datamodules.articles.datamodule import ArticleData
from datamodules.articles.files import ArticleFiles, ArticleHub
from datamodules.articles.source import Article
from datamodules.records.document import BadSample
from datamodules.text.normalise import HiddenNames
from tests.fixtures.articles import write_rows

REAL = Path(os.environ.get("TRAINER_DATA", "data"))
ROWS = [
    {"article": f"Some words, {n}.", "highlights": f"One .\nTwo {n} .", "id": f"r{n}"}
    for n in range(3)
]


def read(path, **options) -> list[Article | BadSample]:
    return list(ArticleFiles(str(path), **options).articles())


def reasons(found) -> list[tuple[str, str]]:
    return [(one.origin, one.reason) for one in found if isinstance(one, BadSample)]


# Tables


@pytest.mark.parametrize(
    "name", ["t.parquet", "t.csv", "t.tsv", "t.jsonl", "t.jsonl.gz", "t.json", "t.csv.gz"]
)
def test_every_format_gives_the_same_articles_and_joins_the_lines_of_a_summary(tmp_path, name):
    path = write_rows(ROWS, tmp_path / name)
    place = f"{tmp_path.name}/{name}"
    assert read(path) == [
        Article(f"r{n}", f"{place}:{n + 1}", f"Some words, {n}.", f"One . Two {n} .")
        for n in range(3)
    ]


def test_the_stance_of_a_summary_is_read_by_the_same_labels_as_that_of_its_article(tmp_path):
    row = {"text": "a text", "summary": "s", "stance": 0, "summary_stance": 1}
    path = write_rows([row, {"text": "a text", "summary_stance": None}], tmp_path / "t.jsonl")
    first, second = read(path, labels={"0": "left", "1": "right"})
    assert (first.stance, first.summary_stance) == ("left", "right")
    assert second.summary_stance == ""


@pytest.mark.parametrize(
    ("row", "summary", "stance"),
    [
        ({"article": "a text", "highlights": "h"}, "h", ""),
        ({"document": "a text", "summary": "s", "id": 7}, "s", ""),
        ({"text": "a text", "title": "t", "label_name": "left", "label": 0}, "t", "left"),
        ({"text": "a text", "title": "t", "summary": "s", "stance": "right"}, "s", "right"),
        ({"text": "a text", "summary": None, "stance": None}, "", ""),
    ],
)
def test_the_fields_of_known_datasets_need_no_names(tmp_path, row, summary, stance):
    [found] = read(write_rows([row], tmp_path / "t.jsonl"))
    assert (found.text, found.summary, found.stance) == ("a text", summary, stance)
    assert found.id == str(row.get("id", found.origin))


def test_columns_values_and_labels_say_what_other_tables_hold(tmp_path):
    rows = [
        {"id": n, "left_title": f"t{n}", "left_text": "l m", "right_text": "r s", "lean": n}
        for n in range(3)
    ]
    path = write_rows(rows, tmp_path / "t.parquet")
    columns = {"text": "{left_title}: {left_text}", "summary": "left_title", "id": "left {id}"}
    found = read(path, columns=columns, values={"stance": "left"})
    assert [(one.id, one.text, one.summary, one.stance) for one in found] == [
        (f"left {n}", f"t{n}: l m", f"t{n}", "left") for n in range(3)
    ]
    labels = {"0": "left", "1": "right", "*": ""}
    columns = {"text": "right_text", "stance": "lean", "id": ""}
    found = read(path, columns=columns, labels=labels)
    assert [one.stance for one in found] == ["left", "right", ""]
    assert found[2].id == f"{tmp_path.name}/t.parquet:3"


def test_conditions_choose_rows_by_one_value_or_several(tmp_path):
    rows = [
        {"text": f"text {n}", "set": "abc"[n % 3], "is_new": n % 2 == 0, "part": n}
        for n in range(6)
    ]
    for name in ("t.parquet", "t.csv", "t.jsonl"):
        path = write_rows(rows, tmp_path / name)

        def chosen(path=path, **where):
            return [int(one.text[-1]) for one in read(path, where=where)]

        assert chosen(set="b") == [1, 4]
        assert chosen(set=["a", "c"]) == [0, 2, 3, 5]
        assert chosen(set=["a", "c"], is_new=False) == [3, 5]
        assert chosen(is_new=True, part=4) == [4]
        with pytest.raises(ValueError, match=rf"{name}: no row has set: d"):
            chosen(set="d")


def test_a_config_writes_conditions_and_labels_as_yaml_has_them(tmp_path):
    from jsonargparse import ArgumentParser

    rows = [{"text": f"text {n}", "lean": n, "is_new": n > 0, "set": "ab"[n % 2]} for n in range(4)]
    parser = ArgumentParser()
    parser.add_class_arguments(ArticleFiles, "source")
    config = {
        "path": str(write_rows(rows, tmp_path / "t.parquet")),
        "where": {"is_new": True, "set": ["a", "b"]},
        "columns": {"stance": "lean"},
        "labels": {1: "left", "*": ""},
    }
    made = parser.instantiate(parser.parse_object({"source": config})).source
    assert [one.stance for one in made.articles()] == ["left", "", ""]


def test_a_table_without_a_column_is_refused_and_its_columns_are_named(tmp_path):
    path = write_rows([{"body": "some words", "x": 1}], tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match=r"t.jsonl:1: no article in .*document, text; it has body"):
        read(path)
    with pytest.raises(ValueError, match=r"t.jsonl has no column 'txt'; it has body, x"):
        read(path, columns={"text": "txt"})
    with pytest.raises(ValueError, match=r"t.jsonl has no column 'set'; it has body, x"):
        read(path, columns={"text": "body"}, where={"set": "a"})
    with pytest.raises(ValueError, match=r"'txt' is no field of an article; those are text, summ"):
        read(path, columns={"txt": "body"})
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read(tmp_path / "none.csv")


def test_a_label_that_is_not_known_is_named_with_those_that_are(tmp_path):
    rows = [{"text": "some words", "stance": stance} for stance in ("L", "l", " ", "X")]
    path = write_rows(rows, tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match=r"t.jsonl:4: label 'X' is none of L, R; see `labels`"):
        read(path, labels={"L": "left", "R": "right"})
    found = read(path, labels={"L": "left", "*": "center"})
    assert [one.stance for one in found] == ["left", "left", "", "center"]


def test_a_row_that_cannot_be_read_costs_that_row_alone(tmp_path):
    lines = ['{"text": "a b"}', "{broken", '{"title": "x"}', '{"text": [1]}', '{"text": "c d"}']
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(lines))
    found = read(path)
    place = f"{tmp_path.name}/t.jsonl"
    assert [one.text for one in found if isinstance(one, Article)] == ["a b", "c d"]
    assert reasons(found) == [
        (f"{place}:2", "broken JSON"),
        (f"{place}:3", "no article in a column article, document, text; it has title"),
        (f"{place}:4", "'text' holds no text but list"),
    ]


def test_a_copy_of_a_dataset_gives_what_its_rows_hold(tmp_path):
    from datasets import Dataset, DatasetDict

    folder = str(tmp_path / "news")
    DatasetDict(
        {"train": Dataset.from_list(ROWS[:1]), "test": Dataset.from_list(ROWS)}
    ).save_to_disk(folder)
    found = list(ArticleHub(folder, split="test", values={"stance": "left"}).articles())
    assert [(one.id, one.text, one.summary, one.stance) for one in found] == [
        (f"r{n}", f"Some words, {n}.", f"One . Two {n} .", "left") for n in range(3)
    ]
    assert found[2].origin == f"{folder}:test:3"
    [one] = ArticleHub(folder, split="test", where={"id": "r1"}).articles()
    assert one == found[1].__class__("r1", f"{folder}:test:2", "Some words, 1.", "One . Two 1 .")
    with pytest.raises(ValueError, match=r"has no column 'body'; it has article, highlights, id"):
        list(ArticleHub(folder, columns={"text": "body"}).articles())


# Real articles


def real(path: str, **options) -> list[Article]:
    if not (REAL / path).exists():
        pytest.skip(f"no {REAL / path}; TRAINER_DATA is where data lie")
    return [one for one in read(REAL / path, **options) if isinstance(one, Article)]


def test_the_sets_of_real_summaries_are_read_by_their_columns():
    everything = real("summaries/summaries.parquet")
    assert len(everything) == 980
    assert all(one.summary and "\n" not in one.summary and not one.stance for one in everything)
    for name, num in {"xsum": 200, "cnn_dailymail": 195, "multi_news": 200}.items():
        assert len(real("summaries/summaries.parquet", where={"set": name})) == num


def test_real_articles_with_a_leaning_have_it_as_their_stance():
    found = real("article_bias/val.parquet", where={"title_in_neus_test": False})
    assert len(found) == 594
    assert {one.stance for one in found} == {"left", "center", "right"}
    assert len({one.id for one in found}) == 594
    assert all(one.summary for one in found)


def test_three_sides_of_one_event_are_three_sources_with_their_stances(tmp_path, tokenizer_folder):
    sides = ("left", "center", "right")
    for side in sides:
        real("neus/roundup_val.parquet", columns={"text": f"{side}_text"})
    sources = [
        ArticleFiles(
            str(REAL / "neus/roundup_val.parquet"),
            columns={"text": f"{side}_text", "summary": f"{side}_title", "id": f"{{id}} {side}"},
            values={"stance": side},
        )
        for side in sides
    ]
    data = ArticleData(
        tokenizer_folder, test=sources, asked=list(sides), cache=str(tmp_path), limit=4
    )
    data.setup("test")
    found = [
        pair
        for b in data.test_dataloader()
        for pair in zip(b["id_B"], b["asked_B"].tolist(), strict=True)
    ]
    assert len(found) == len(set(found)) == 3 * 4 * 3


def test_the_swap_layer_reads_three_articles_of_an_event_and_never_its_neutral_text(
    tmp_path, monkeypatch
):
    """Sides that an event lacks are left out."""
    sides = {"left": ["lean left", "left"], "center": ["center", ""], "right": ["", "lean right"]}
    rows = [
        {"id": 7 + n, "roundup": "The neutral text."}
        | {f"{side}_lean": leans[n] for side, leans in sides.items()}
        | {f"{side}_text": f"{side} of CNN" if leans[n] else "" for side, leans in sides.items()}
        | {f"{side}_title": f"{side} title" if leans[n] else "" for side, leans in sides.items()}
        for n in range(2)
    ]
    (tmp_path / "neus").mkdir()
    write_rows(rows, tmp_path / "neus" / "roundup_val.parquet")
    monkeypatch.setenv("TRAINER_DATA", str(tmp_path))
    layer = OmegaConf.to_container(OmegaConf.load("configs/p3sum/data/swap.yaml"), resolve=True)
    given = layer["data"]["init_args"]
    found = []
    for source in given["test"]:
        options = source["init_args"]
        options["hide"] = HiddenNames(**options["hide"])
        found += ArticleFiles(**options).articles()
    assert [(one.id, one.stance, one.text, one.summary) for one in found] == [
        (f"{side} {number}", side, f"{side} of the outlet", f"{side} title")
        for side, numbers in (("left", [7, 8]), ("center", [7]), ("right", [8]))
        for number in numbers
    ]
    assert given["asked"] == ["left", "center", "right"]
