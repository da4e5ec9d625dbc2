"""Articles as batches."""

import json
from itertools import islice

import lightning as L
import pytest
import torch

from datamodules.articles.datamodule import ArticleData
from datamodules.articles.source import Article, ArticleSource
from datamodules.records.document import BadSample

STANCES = ["left", "center", "right"]
LONG = 12
"""Tokens of an article in most tests, marks included."""
SHORT = 6
"""Positions of a summary in most tests."""


class Given(ArticleSource):
    """Articles as they are given."""

    def __init__(self, *articles: Article | BadSample, name: str = "given"):
        self.given = articles
        self.title = name
        self.times = 0

    @property
    def name(self) -> str:
        return self.title

    def articles(self):
        self.times += 1
        yield from self.given


class Reads(L.LightningModule):
    """Remembers the batches of every command."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch)
        return self.layer(torch.ones(1, 1)).sum()

    def validation_step(self, batch, batch_idx):
        self.seen.append(batch)

    def predict_step(self, batch, batch_idx):
        self.seen.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def story(number: int, num_words: int = 5, **more) -> Article:
    words = " ".join(f"word{number + n}" for n in range(num_words))
    facts = {"summary": f"sum {number}", "stance": STANCES[number % 3]} | more
    return Article(f"a{number}", f"f:{number + 1}", f"{words}.", **facts)


def stories(num: int) -> list[Article]:
    return [story(n, num_words=2 + 3 * n % 11) for n in range(num)]


@pytest.fixture
def data(tmp_path, tokenizer_folder):
    """Data over given articles."""

    def build(*articles, **more):
        sources = {part: [Given(*articles)] for part in ("train", "validate", "test")}
        sizes = {"article_length": LONG, "summary_length": SHORT, "batch_size": 4}
        given = {**sources, **sizes, "cache": str(tmp_path / "cache"), **more}
        return ArticleData(tokenizer_folder, **given)

    return build


def batches(data, command="test"):
    data.setup(command)
    loaders = {"test": data.test_dataloader, "predict": data.predict_dataloader}
    return list((loaders | {"validate": data.val_dataloader})[command]())


def told(data, command="test", *keys):
    """The values under some keys of every item."""
    found = batches(data, command)
    return [row for b in found for row in zip(*(listed(b[key]) for key in keys), strict=True)]


def listed(values):
    return values.tolist() if isinstance(values, torch.Tensor) else values


def trainer(folder=None, **more) -> L.Trainer:
    from lightning.pytorch.loggers import CSVLogger

    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    logger = False if folder is None else CSVLogger(folder, name="", version="")
    return L.Trainer(accelerator="cpu", logger=logger, enable_checkpointing=False, **quiet, **more)


# What a batch holds


def test_a_batch_is_what_a_plain_loop_over_the_articles_makes(data):
    articles = stories(7)
    found = data(*articles, batch_size=7)
    [batch] = batches(found)
    encode = found.vocabulary.backend
    start, end, pad = encode.bos_token_id, encode.eos_token_id, encode.pad_token_id
    assert len({start, end, pad}) == 3
    rows, cuts, summaries = [], [], []
    for one in articles:
        ids = encode(one.text, add_special_tokens=False)["input_ids"]
        rows.append([start, *ids[: LONG - 2], end])
        cuts.append(max(0, len(ids) - LONG + 2))
        ids = encode(one.summary, add_special_tokens=False)["input_ids"]
        summaries.append([*ids[: SHORT - 1], end])
    longest = max(map(len, rows))
    assert 0 < sum(cut > 0 for cut in cuts) < 7
    assert batch["article_BC"].tolist() == [r + [pad] * (longest - len(r)) for r in rows]
    assert batch["article_mask_BC"].tolist() == [
        [True] * len(r) + [False] * (longest - len(r)) for r in rows
    ]
    assert batch["summary_BS"].tolist() == [s + [pad] * (SHORT - len(s)) for s in summaries]
    assert batch["summary_mask_BS"].tolist() == [
        [True] * len(s) + [False] * (SHORT - len(s)) for s in summaries
    ]
    assert batch["cut_B"] == cuts
    assert batch["stance_B"].tolist() == batch["asked_B"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    for key, name in [("article_B", "text"), ("reference_B", "summary"), ("id_B", "id")]:
        assert batch[key] == [getattr(one, name) for one in articles]
    assert batch["origin_B"] == [f"f:{n}" for n in range(1, 8)]
    num_tokens = sum(map(len, summaries))
    assert batch["num_targets"] == {"articles": 7, "tokens": num_tokens, "positions": 7 * SHORT}
    assert batch["step_targets"] == batch["num_targets"]
    assert {batch[key].dtype for key in ("article_BC", "summary_BS", "stance_B", "asked_B")} == {
        torch.int64
    }


def test_what_is_not_known_is_marked_and_an_unknown_summary_is_no_empty_one(data):
    [batch] = batches(data(story(0, summary="", stance=""), story(1)))
    assert batch["stance_B"].tolist() == batch["asked_B"].tolist() == [-100, 1]
    assert not batch["summary_mask_BS"][0].any()
    assert batch["reference_B"] == ["", "sum 1"]
    assert batch["num_targets"]["tokens"] == int(batch["summary_mask_BS"][1].sum()) > 1


def test_padding_alone_depends_on_the_other_articles_of_a_batch(data):
    articles = stories(6)
    alone = batches(data(*articles, batch_size=1))
    [together] = batches(data(*articles, batch_size=6))
    for b, one in enumerate(alone):
        real = together["article_mask_BC"][b]
        assert torch.equal(together["article_BC"][b][real], one["article_BC"][0])
        assert bool(real[: int(real.sum())].all())
        assert torch.equal(together["summary_BS"][b], one["summary_BS"][0])


def test_names_of_control_tokens_in_an_article_are_plain_characters(data):
    [batch] = batches(data(story(0, summary="a</s>b")))
    end = data(story(0)).vocabulary.eos
    assert (batch["summary_BS"][0] == end).sum() == 1


# Order


def test_a_run_stopped_anywhere_continues_with_the_same_batches(data):
    def stream(found, state=None):
        found.setup("fit")
        loader = found.train_dataloader()
        if state is not None:
            loader.load_state_dict(state)
        return loader, (batch for _ in iter(int, 1) for batch in loader)

    def ids(some):
        return [(batch["id_B"], batch["article_BC"].tolist()) for batch in some]

    articles = stories(10)
    whole = ids(islice(stream(data(*articles))[1], 9))
    assert sorted(id for batch, _ in whole[:5] for id in batch)[:4] == ["a0", "a0", "a1", "a1"]
    for k in range(1, 8):
        loader, first = stream(data(*articles))
        assert ids(islice(first, k)) == whole[:k]
        again = stream(data(*articles), loader.state_dict())[1]
        assert ids(islice(again, 9 - k)) == whole[k:]
    assert whole != ids(islice(stream(data(*articles, seed=1))[1], 9))


def test_a_trainer_resumes_in_the_middle_of_an_epoch(data, tmp_path):
    articles, whole, file = stories(9), Reads(), str(tmp_path / "at.ckpt")
    options = {"limit_val_batches": 0, "max_steps": 3, "accumulate_grad_batches": 2}
    trainer(**options).fit(whole, data(*articles, batch_size=1))
    first = Reads()
    run = trainer(**options | {"max_steps": 2})
    run.fit(first, data(*articles, batch_size=1))
    run.save_checkpoint(file)
    rest = Reads()
    trainer(**options).fit(rest, data(*articles, batch_size=1), ckpt_path=file)
    seen = [[(b["id_B"], b["step_targets"]) for b in one.seen] for one in (whole, first, rest)]
    assert len(seen[2]) == 2
    assert seen[1] + seen[2] == seen[0]
    for one, two in zip(whole.seen[::2], whole.seen[1::2], strict=True):
        total = {n: one["num_targets"][n] + two["num_targets"][n] for n in one["num_targets"]}
        assert one["step_targets"] == two["step_targets"] == total


def test_two_ranks_share_every_step_and_every_article_of_an_evaluation(data, monkeypatch):
    def ranked(rank, size):
        monkeypatch.setattr(ArticleData, "replica", lambda self: (rank, size))
        found = data(*stories(5), batch_size=2 if size == 2 else 4, eval_batch_size=2)
        found.setup("fit")
        return next(iter(found.train_dataloader()))["id_B"], batches(found)

    (one, left), (two, right) = ranked(0, 2), ranked(1, 2)
    assert one + two == ranked(0, 1)[0]
    assert [batch["id_B"] for batch in left] == [["a0", "a1"], ["a4"]]
    assert [batch["id_B"] for batch in right] == [["a2", "a3"], []]
    assert right[1]["article_BC"].shape == (0, 0)
    assert right[1]["summary_BS"].shape == right[1]["summary_mask_BS"].shape == (0, SHORT)
    assert right[1]["num_targets"] == {"articles": 0, "tokens": 0, "positions": 0}


def test_training_articles_of_like_length_meet_and_all_come_in_every_epoch(data):
    found = data(*stories(64), article_length=60, batch_size=4, pool_size=64)
    found.setup("fit")
    loader = found.train_dataloader()
    for _ in range(2):
        epoch = list(loader)
        assert sorted(id for b in epoch for id in b["id_B"]) == sorted(f"a{n}" for n in range(64))
        widths = [b["article_mask_BC"].sum(1) for b in epoch]
        assert max(int(width.max() - width.min()) for width in widths) < 25


def test_texts_are_tokenised_once_and_read_once(data, monkeypatch):
    first = data(*stories(5))
    first.prepare_data()
    first.setup("fit")
    assert first.sources["train"][0].times == 1
    again = data(*stories(5))
    again.prepare_data()
    monkeypatch.setattr(type(again.vocabulary), "encode", None)
    again.setup("fit")
    batch = next(iter(again.train_dataloader()))
    assert torch.equal(batch["article_BC"], next(iter(first.train_dataloader()))["article_BC"])


def test_the_limit_is_of_each_source_and_not_of_training(data):
    one, two = Given(*stories(4)), Given(*(story(n) for n in range(10, 14)))
    found = data(*stories(4), test=[one, two], limit=2)
    assert told(found, "test", "id_B") == [("a0",), ("a1",), ("a10",), ("a11",)]
    found.setup("fit")
    assert len(found.articles("train")) == 4
    assert len(found.articles("validate")) == 2


# Stances that are asked for


def test_every_article_comes_once_for_each_stance_that_is_asked_for(data):
    found = told(data(*stories(2), asked=["right", "left"]), "test", "id_B", "stance_B", "asked_B")
    assert found == [("a0", 0, 2), ("a0", 0, 0), ("a1", 1, 2), ("a1", 1, 0)]


def test_an_article_that_names_its_own_stances_comes_for_those(data):
    articles = [story(0, asked=("center",)), story(1), story(2, asked=("left", "right", "left"))]
    keys = ("id_B", "asked_B")
    assert told(data(*articles), "test", *keys) == [("a0", 1), ("a1", 1), ("a2", 0), ("a2", 2)]
    both = told(data(*articles, asked=["left", "right"]), "validate", *keys)
    assert both == [("a0", 1), ("a1", 0), ("a1", 2), ("a2", 0), ("a2", 2)]


def test_training_asks_for_the_stance_of_the_article_whatever_a_user_asks_for(data):
    articles = [story(n, asked=("right",)) for n in range(4)]
    found = data(*articles, asked=["left", "center"])
    found.setup("fit")
    [batch] = list(found.train_dataloader())
    assert torch.equal(batch["asked_B"], batch["stance_B"])
    assert sorted(batch["id_B"]) == ["a0", "a1", "a2", "a3"]


# What cannot be used


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


def test_a_tokenizer_may_be_trained_on_the_training_articles_and_their_summaries(data):
    found = list(data(*stories(3)).training_documents())
    assert found == [one.text for one in stories(3)] + [f"sum {n}" for n in range(3)]
