"""Judges in both orders, and the tallies of their verdicts."""

import numpy as np
import pytest
import torch

from modules.decoding.judging.judge import EndpointJudge, LocalJudge
from modules.decoding.judging.replies import scores_of
from modules.decoding.judging.verdicts import HEAD, Tally, Verdict, match, tally, win_interval
from modules.endpoint.client import Endpoint
from tests.fixtures.endpoint import byte_tokenizer, serving, tiny_model


class ByLength:
    """Scores an answer by its length; its position may count as well."""

    def __init__(self, first=0.0, silent=()):
        self.first = first
        self.silent = silent
        self.asked = []

    def compare(self, question, one, other):
        self.asked.append((question, one, other))
        if (one, other) in self.silent:
            return Verdict(None, None, "I would rather not")
        return Verdict(len(one) + self.first, len(other))


# Both orders


def test_both_orders_are_asked():
    judge = ByLength()
    outcome = match(judge, "?", "long", "no")
    assert judge.asked == [("?", "long", "no"), ("?", "no", "long")]
    assert outcome == ("win", Verdict(4, 2), Verdict(2, 4), False)


def test_changing_sides_turns_wins_into_losses():
    for ours, theirs in (("aaa", "b"), ("a", "bbb"), ("aa", "bb")):
        result, swapped = (
            match(ByLength(), "?", *pair).result for pair in ((ours, theirs), (theirs, ours))
        )
        assert {result, swapped} in ({"win", "loss"}, {"tie"})


def test_a_judge_swayed_by_the_place_gives_ties():
    outcome = match(ByLength(first=10), "?", "long", "no")
    assert outcome.result == "tie"
    assert outcome.swayed
    assert match(ByLength(first=1), "?", "long", "no").result == "win"


def test_a_winner_in_one_order_only_is_a_tie():
    outcome = match(ByLength(first=2), "?", "long", "no")
    assert outcome.result == "tie"
    assert not outcome.swayed


def test_scores_within_the_margin_are_ties():
    assert match(ByLength(), "?", "long", "no", margin=2).result == "tie"
    assert match(ByLength(), "?", "long", "no", margin=1.9).result == "win"
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        match(ByLength(), "?", "a", "b", margin=-1)


@pytest.mark.parametrize("silent", [("long", "no"), ("no", "long")])
def test_a_reply_that_cannot_be_read_in_either_order_is_counted(silent):
    outcome = match(ByLength(silent=[silent]), "?", "long", "no")
    assert outcome.result == "unparsable"
    assert "I would rather not" in (outcome.first.reply, outcome.second.reply)


# Counting


def test_shares_are_of_all_matches():
    pairs = [("aaa", "b"), ("aa", "b"), ("a", "bb"), ("a", "b"), ("long", "no")]
    totals = tally(match(ByLength(silent=[("long", "no")]), "?", *pair) for pair in pairs)
    assert totals == Tally(win=2, tie=1, loss=1, unparsable=1, swayed=0)
    assert (totals.num, totals.readable) == (5, 4)
    assert totals.win_rate == 0.5
    assert totals.row() == "| 40.0% | 20.0% | 20.0% | 20.0% | 5 |"
    assert HEAD.splitlines()[0].count("|") == totals.row().count("|")
    assert tally([match(ByLength(first=9), "?", "a", "b")]).swayed == 1
    assert tally([match(ByLength(silent=[("a", "b")]), "?", "a", "b")]).win_rate is None
    with pytest.raises(ValueError, match="no matches to count"):
        tally([]).row()


def test_the_interval_is_that_of_a_plain_bootstrap():
    results = ["win"] * 30 + ["tie"] * 15 + ["loss"] * 10 + ["unparsable"] * 5
    low, high = win_interval(results)
    rng = np.random.default_rng(1)
    is_win = np.array([result == "win" for result in results])
    rates = [rng.choice(is_win, size=60).mean() for _ in range(5000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(rates, [0.025, 0.975])), abs=0.02)
    assert low < 0.5 < high
    assert win_interval(results, seed=3) == win_interval(results, seed=3)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for n in range(100):
        results = ["win" if is_win else "loss" for is_win in rng.random(100) < 0.4]
        low, high = win_interval(results, level=0.9, num=500, seed=n)
        covered += low <= 0.4 <= high
    assert 0.8 < covered / 100 <= 0.99


def test_matches_of_one_question_are_drawn_together():
    results = ["win"] * 50 + ["loss"] * 50
    single = win_interval(results)
    grouped = win_interval(results, groups=[n // 10 for n in range(100)])
    assert grouped[1] - grouped[0] > 2 * (single[1] - single[0])
    assert win_interval(["win"] * 5) == (1.0, 1.0)


def test_intervals_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no matches to count"):
        win_interval([])
    with pytest.raises(ValueError, match=r"level must be within \(0, 1\), got 1"):
        win_interval(["win"], level=1)
    with pytest.raises(ValueError, match="zip"):
        win_interval(["win"], groups=["a", "b"])


# Judges


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ("8 6", (8, 6)),
        ("\n 8.5, 10 \nBecause 3 4 5.", (8.5, 10)),
        ("7;7", (7, 7)),
        ("8/10 9/10", (8, 9)),
        ("8.5/10, 9 / 10", (8.5, 9)),
        ("**8 9**", (8, 9)),
        ("`8` `9`", (8, 9)),
        ("# 8 9", (8, 9)),
        ("8 9.", (8, 9)),
        ("Score: 8 9", (8, 9)),
        ("**Scores:** 8, 9", (8, 9)),
        ("[[8]] [[9]]", (8, 9)),
        ("| 8 | 9 |", (8, 9)),
        ("(8, 9)", (8, 9)),
        ("8 and 9", (8, 9)),
        ("8\n9\nBecause.", (8, 9)),
        ("Answer 1: 8, Answer 2: 6", (8, 6)),
        ("**Answer 1:** 8/10\n**Answer 2:** 6/10\nThe first is clear.", (8, 6)),
        ("<think>Is it 3 or 4?\n5 5</think>\n\n8 9\nReasons.", (8, 9)),
        ("<thinking>3 4</thinking>8 9", (8, 9)),
        ("```\n8 9\n```", (8, 9)),
        ('```json\n{"answer_1": 8, "answer_2": 9}\n```', (8, 9)),
        ('{"scores": "x", "one": 8, "two": "9/10"}', (8, 9)),
        ("[8, 9]", (8, 9)),
    ],
)
def test_two_scores_are_read_in_the_usual_forms(reply, scores):
    assert scores_of(reply) == scores


@pytest.mark.parametrize(
    "reply",
    [
        "8/10",
        "8",
        "8 6 4",
        "0 6",
        "11 6",
        "8/5 9/5",
        "Answer 2: 6, Answer 1: 8",
        "I think so.\n8 6",
        "On a scale of 1 to 10 I give 8 and 6",
        "8-9",
        "<think>8 9",
        "<think>8 9\n8 9",
        '{"a": 8}',
        '{"a": 8, "b": 9, "c": 1}',
        '{"a": 8, "b": true}',
        "8\nof 10",
        "",
    ],
)
def test_nothing_is_guessed_from_other_replies(reply):
    assert scores_of(reply) is None


def test_a_reply_cut_off_within_its_thoughts_says_so():
    choice = {"message": {"content": "<think>Let me see"}, "finish_reason": "length"}
    with serving(script=[(200, {}, {"choices": [choice]})]) as served:
        verdict = EndpointJudge(Endpoint(served.url, "judge")).compare("?", "a", "b")
    assert verdict == Verdict(None, None, "<think>Let me see", "length")


def test_a_judge_behind_an_endpoint_reads_both_answers():
    replies = ["9 3\nThe first.", "3 9", "no idea", ""]
    script = [(200, {}, {"choices": [{"message": {"content": reply}}]}) for reply in replies]
    with serving(script=script) as served:
        judge = EndpointJudge(Endpoint(served.url, "judge"), temperature=0.2, max_tokens=77)
        matches = [match(judge, "Why?", "Thus.", "Dunno.") for _ in range(2)]
    assert tally(matches) == Tally(win=1, unparsable=1)
    path, _, fields = served.requests[0]
    assert path == "/v1/chat/completions"
    assert (fields["temperature"], fields["max_tokens"]) == (0.2, 77)
    first, second = (request[2]["messages"][1]["content"] for request in served.requests[:2])
    assert "Why?" in first
    assert first.index("Thus.") < first.index("Dunno.")
    assert second.index("Dunno.") < second.index("Thus.")


@pytest.fixture(scope="module")
def local():
    tokenizer = byte_tokenizer(num=262)  # short pieces of text, so that a prompt is long
    model = tiny_model("llama", len(tokenizer), seed=0)
    model.config.max_position_embeddings = 4096
    return LocalJudge(model, tokenizer)


def test_a_local_judge_compares_the_probabilities_of_two_numbers(local):
    verdict = local.compare("Why?", "Thus.", "Dunno.")
    prompt = local.prompt("Why?", "Thus.", "Dunno.") + " "
    tokenizer = local.tokenizer
    assert prompt.index("Thus.") < prompt.index("Dunno.")
    with torch.no_grad():
        logits = local.model(torch.tensor([tokenizer.encode(prompt)])).logits[0, -1]
    first, second = logits.double().log_softmax(0)[tokenizer.encode("12")].tolist()
    assert verdict.one == pytest.approx(first, abs=1e-6)
    assert verdict.other == pytest.approx(second, abs=1e-6)


def test_the_same_answer_twice_is_a_tie(local):
    assert match(local, "Why?", "Thus.", "Thus.").result == "tie"


def test_answers_too_long_for_a_local_judge_are_counted(local, monkeypatch):
    monkeypatch.setattr(local.model.config, "max_position_embeddings", 100)
    outcome = match(local, "Why?", "Thus.", "Dunno.")
    assert outcome.result == "unparsable"
    assert outcome.first.reply.endswith("tokens for a model of 100 positions")


def test_a_local_judge_can_be_asked_by_a_chat_template(local, monkeypatch):
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    monkeypatch.setattr(local.tokenizer, "chat_template", template)
    judge = LocalJudge(local.model, local.tokenizer, is_chat=True)
    prompt = judge.prompt("Why?", "Thus.", "Dunno.")
    assert prompt.startswith("<user>")
    assert prompt.split("<assistant>")[1] == "The better one is answer number"
    assert judge.compare("Why?", "Thus.", "Dunno.").lead is not None


def test_a_chat_judge_reads_its_template_as_every_prompt_is_read(local, monkeypatch):
    judge = LocalJudge(local.model, local.tokenizer, is_chat=True)
    with pytest.raises(ValueError, match="has no chat template: write the prompt as plain text"):
        judge.compare("Why?", "Thus.", "Dunno.")
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    monkeypatch.setattr(local.tokenizer, "chat_template", template)
    asked = []
    encode = type(local.tokenizer).encode
    monkeypatch.setattr(
        type(local.tokenizer),
        "encode",
        lambda self, text, **how: asked.append(how["add_special_tokens"]) or encode(self, text),
    )
    judge.compare("Why?", "Thus.", "Dunno.")
    assert not any(asked)  # the template has written them


def test_a_tokenizer_without_a_token_for_each_number_is_refused(local, monkeypatch):
    monkeypatch.setattr(LocalJudge, "prompt", lambda self, *texts: "the cat")
    monkeypatch.setattr(
        type(local.tokenizer), "encode", lambda self, text, **how: [1, 2] if "1" in text else [3]
    )
    with pytest.raises(ValueError, match="with one last token each"):
        local.compare("Why?", "Thus.", "Dunno.")
