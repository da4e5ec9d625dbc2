"""How answers are evaluated; the claim itself trains the models that write them."""

import math

import numpy as np
import pytest

from benchmarks.bench.harness import Bench
from benchmarks.claims.decoding import __main__ as decoding
from benchmarks.claims.decoding import alignment, contradictions, proxy
from benchmarks.claims.decoding.small_llama import Recipe, train
from benchmarks.claims.decoding.synthetic_facts import WORDS, Fact, FactQuestion
from benchmarks.claims.decoding.synthetic_tasks import TEMPLATE, Grade, episode, world
from benchmarks.claims.decoding.word_tokens import spell, tokenizer_of
from benchmarks.claims.resampling import gain, rate, resampled
from modules.decoding.branches.branches import context_aware

TINY = Recipe(width=32, num_layers=1, num_heads=2, context=64, num_steps=150, batch_size=8)


def quiet(text):
    """Prints no progress."""


# Intervals


def test_an_interval_holds_the_statistic_and_is_near_that_of_the_normal_law():
    values = np.random.default_rng(1).normal(size=400)
    estimate = resampled(lambda sample: float(sample.mean()), values)
    assert estimate.median == pytest.approx(values.mean())
    width = 2 * 1.96 * values.std() / math.sqrt(len(values))
    assert estimate.high - estimate.low == pytest.approx(width, rel=0.1)


def test_what_belongs_together_is_drawn_together():
    before = [True, False] * 50
    assert gain(before, before).low == gain(before, before).high == 0
    assert gain([False] * 4, [True] * 4).median == 1
    assert rate(before).median == 0.5


def test_the_gap_is_closed_by_the_tuned_model_and_not_at_all_by_the_base():
    base, tuned = np.array([5.0, 6.0, 7.0]), np.array([4.0, 4.5, 5.0])
    assert proxy.gap_closed(base, tuned, tuned).median == 1
    assert proxy.gap_closed(base, base, tuned).median == 0
    assert proxy.gap_closed(base, (base + tuned) / 2, tuned).median == pytest.approx(0.5)


# Proxy-tuning


def test_proxy_rows_say_which_alpha_is_best_and_what_it_beats():
    bench = Bench("claims.decoding.proxy")
    base, tuned = np.full(8, 5.0), np.full(8, 4.0)
    alone = {"large": base, "large tuned": tuned, "small": base + 1, "small tuned": base - 0.1}
    sweep = {alpha: base - 0.8 * min(alpha, 2 - alpha) for alpha in proxy.ALPHAS}
    proxy.report(bench, "small", alone, sweep)
    rows = {row.what: row for row in bench.rows}
    best = rows["small experts: gap closed in nats a token of Shakespeare, alpha 1"]
    assert best.value == pytest.approx(0.8)
    assert rows["small experts: alpha 0 less base, nats a token"].value == 0
    assert rows["small experts: proxy at alpha 1 less base, nats a token"].value == pytest.approx(
        -0.8
    )
    assert all(row.met for row in bench.rows)


# Context-aware decoding

FACT = Fact("river", "Zubaki", "Telomi")
CASES = [FactQuestion("contradicting", "", FACT, "Bada"), FactQuestion("none", "", FACT, "Telomi")]


def test_an_answer_is_right_or_by_heart_letter_by_letter():
    assert contradictions.right(CASES, ["Bada", "Telomi"]) == [True, True]
    assert contradictions.right(CASES, ["bada", "Telomi "]) == [False, False]
    assert contradictions.memorised(CASES, ["Telomi", "Bada"]) == [True, False]


def test_a_little_llama_learns_a_fact_by_heart_and_is_asked_in_its_own_words():
    tokenizer = tokenizer_of([*WORDS, " river", " Zubaki", " Telomi", " Bada"])
    lesson = spell(tokenizer, [(FACT.question, False), (" Telomi<end>", True)])
    trained = train(TINY, len(tokenizer), lambda _: lesson, quiet)
    branches = context_aware(
        trained.model, tokenizer, contradictions.WITH, contradictions.WITHOUT, 0.0
    )
    assert contradictions.answers(branches, [CASES[1]]) == ["Telomi"]


def test_rows_of_contradictions_compare_alpha_one_with_none():
    bench = Bench("claims.decoding.contradictions")
    bench.details["7% contradicting"] = {}
    cases = {kind: [CASES[1]] * 4 for kind in contradictions.KINDS}
    cases["contradicting"] = [CASES[0]] * 4
    answers = {}
    for name in contradictions.SETTINGS:
        answers[name] = {kind: ["Telomi"] * 4 for kind in contradictions.KINDS}
    answers["alpha 0"]["contradicting"] = ["Bada"] + ["Telomi"] * 3
    answers["alpha 1"]["contradicting"] = ["Bada"] * 3 + ["Telomi"]
    answers["alpha 1"]["irrelevant"] = ["Bada"] + ["Telomi"] * 3
    contradictions.report(bench, 0.07, cases, answers)
    gained, closed, agreeing, irrelevant = bench.rows
    assert (gained.value, gained.met) == (0.5, True)
    assert (closed.value, closed.met) == (1.0, True)
    assert (agreeing.value, agreeing.met) == (0.0, True)
    assert (irrelevant.value, irrelevant.met) == (0.25, False)


# In-context alignment


def test_a_lesson_asks_the_answers_of_its_topic_and_nothing_else():
    tokenizer = tokenizer_of(alignment.words())
    num_strange = 0
    for index in range(40):
        own = episode(0, index, 4)
        ids, is_asked = alignment.lesson(tokenizer, index)
        assert len(ids) <= alignment.RECIPE.context - alignment.MAX_ANSWER
        answer_text = tokenizer.decode([i for i, asked in zip(ids, is_asked, strict=True) if asked])
        end = "\n\nQuestion:"
        asked = [part.removesuffix(end) for part in answer_text.split(end)[:-1]]
        answers = [f" {demonstration.response}" for demonstration in (*own.shown, own.asked)]
        assert asked[-1] == answers[-1]
        assert all(answer in answers for answer in asked)
        assert tokenizer.decode(ids).count(end) == 5
        num_strange += 5 - len(asked)
    assert 20 < num_strange < 60


def test_kin_are_demonstrations_of_the_same_topic():
    tokenizer = tokenizer_of(alignment.words())
    made_world = world(0, 4, 1)
    shares = {
        name: np.mean(
            alignment.kinship(tokenizer, made_world, alignment.aligned(made_world, finder, 4))
        )
        for name, finder in alignment.RETRIEVERS.items()
    }
    assert shares["retrieved"] > 0.8 > 0.3 > shares["random"]
    assert set(
        alignment.kinship(tokenizer, made_world, alignment.aligned(made_world, None, 0))
    ) == {0.0}


def test_a_prompt_and_the_longest_answer_have_room_in_the_model():
    tokenizer = tokenizer_of(alignment.words())
    made_world = world(5, 8, 1)
    prompts = [
        TEMPLATE.render(made_world.pool.demonstrations[at : at + 4], task.prompt, None)
        for at, task in enumerate(made_world.questions)
    ]
    lengths = [len(tokenizer.encode(text, add_special_tokens=False)) for text in prompts]
    assert max(lengths) + alignment.MAX_ANSWER <= alignment.RECIPE.context


@pytest.mark.parametrize("name", [None, "random", "retrieved"])
def test_every_question_of_a_world_is_graded_with_or_without_demonstrations(name):
    tokenizer = tokenizer_of(alignment.words())
    recipe = alignment.replace(TINY, num_steps=1, context=256)
    text = spell(tokenizer, [(episode(0, 0, 1).text, True)])
    model = train(recipe, len(tokenizer), lambda _: text, quiet).model
    made_world = world(0, 2, 1)
    shown = alignment.aligned(made_world, alignment.RETRIEVERS.get(name), 2)
    graded = alignment.grades(model, tokenizer, made_world, shown)
    assert len(graded) == len(made_world.questions)


def test_rows_of_alignment_compare_retrieved_with_random_at_the_largest_number():
    bench = Bench("claims.decoding.alignment")
    bench.details["alignment"] = {"processor minutes": 3.0}
    good, bad = Grade(True, True, True), Grade(False, False, True)
    graded = {("none", 0): [bad] * 4}
    for num in alignment.COUNTS[1:]:
        graded["random", num] = [bad] * 4
        graded["retrieved", num] = [bad] * 4
    graded["retrieved", max(alignment.COUNTS)] = [good, good, good, bad]
    alignment.report(bench, graded)
    gained, without, minutes = bench.rows
    assert (gained.value, gained.met) == (0.75, True)
    assert (without.value, without.met) == (0.0, True)
    assert minutes.met


# Quick runs


@pytest.mark.slow
@pytest.mark.parametrize("part", ["contradictions", "alignment", "proxy"])
def test_a_quick_run_goes_from_training_to_rows_that_claim_nothing(part):
    if part == "proxy" and not proxy.plays().exists():
        pytest.skip(f"needs {proxy.plays()}, below TRAINER_DATA")
    bench = Bench(f"claims.decoding.{part}", quick=True, part=part)
    decoding.measure(bench)
    assert {row.row for row in bench.rows} == {1 + [*decoding.PARTS].index(part)}
    assert all(row.met is None and math.isfinite(row.value) for row in bench.rows)
