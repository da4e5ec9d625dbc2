"""Articles as batches."""

import math
from itertools import islice

import torch

from datamodules.articles.datamodule import ArticleData
from datamodules.articles.source import Article
from tests.fixtures.articles import (
    LONG,
    SHORT,
    Given,
    Reads,
    batches,
    rows_of,
    stories,
    story,
    trainer,
)

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
    blocks = {size: sum(math.ceil(len(s) / size) * size for s in summaries) for size in (1, 2, 3)}
    assert batch["num_targets"] == {
        **{"articles": 7, "tokens": num_tokens, "positions": 7 * SHORT, "positions_6": 7 * SHORT},
        **{f"positions_{size}": num for size, num in blocks.items()},
    }
    assert batch["step_targets"] == batch["num_targets"]
    assert {batch[key].dtype for key in ("article_BC", "summary_BS", "stance_B", "asked_B")} == {
        torch.int64
    }


def test_what_is_not_known_is_marked_and_an_unknown_summary_is_no_empty_one(data):
    unknown = story(0, summary="", stance="")
    [batch] = batches(data(unknown, story(1), story(2, summary_stance="left")))
    assert batch["stance_B"].tolist() == batch["asked_B"].tolist() == [-100, 1, 2]
    assert batch["summary_stance_B"].tolist() == [-100, -100, 0]
    assert not batch["summary_mask_BS"][0].any()
    assert batch["reference_B"] == ["", "sum 1", "sum 2"]
    assert batch["num_targets"]["tokens"] == int(batch["summary_mask_BS"][1:].sum()) > 2


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
    assert set(right[1]["num_targets"].values()) == {0}


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
    assert rows_of(found, "test", "id_B") == [("a0",), ("a1",), ("a10",), ("a11",)]
    found.setup("fit")
    assert len(found.articles("train")) == 4
    assert len(found.articles("validate")) == 2


# Stances that are asked for


def test_every_article_comes_once_for_each_stance_that_is_asked_for(data):
    found = rows_of(
        data(*stories(2), asked=["right", "left"]), "test", "id_B", "stance_B", "asked_B"
    )
    assert found == [("a0", 0, 2), ("a0", 0, 0), ("a1", 1, 2), ("a1", 1, 0)]


def test_an_article_that_names_its_own_stances_comes_for_those(data):
    articles = [story(0, asked=("center",)), story(1), story(2, asked=("left", "right", "left"))]
    keys = ("id_B", "asked_B")
    assert rows_of(data(*articles), "test", *keys) == [("a0", 1), ("a1", 1), ("a2", 0), ("a2", 2)]
    both = rows_of(data(*articles, asked=["left", "right"]), "validate", *keys)
    assert both == [("a0", 1), ("a1", 0), ("a1", 2), ("a2", 0), ("a2", 2)]


def test_training_asks_for_the_stance_of_the_article_whatever_a_user_asks_for(data):
    articles = [story(n, asked=("right",)) for n in range(4)]
    found = data(*articles, asked=["left", "center"])
    found.setup("fit")
    [batch] = list(found.train_dataloader())
    assert torch.equal(batch["asked_B"], batch["stance_B"])
    assert sorted(batch["id_B"]) == ["a0", "a1", "a2", "a3"]


def test_a_tokenizer_may_be_trained_on_the_training_articles_and_their_summaries(data):
    found = list(data(*stories(3)).training_documents())
    assert found == [one.text for one in stories(3)] + [f"sum {n}" for n in range(3)]


def test_data_say_whether_they_know_the_stance_of_a_training_summary(data):
    known = Article("k", "f:9", "A text.", "A title.", "left", (), "right")
    assert not data(*stories(3)).knows_summary_stances
    assert data(*stories(3), known).knows_summary_stances
