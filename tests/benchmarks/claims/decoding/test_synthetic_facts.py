from collections import Counter
from random import Random
from typing import get_args

import pytest

from benchmarks.claims.decoding.contradictions import CONTRADICTING, exam, lesson, shares
from benchmarks.claims.decoding.synthetic_facts import (
    NUM_SENTENCES,
    RELATIONS,
    Fact,
    Kind,
    draw_kind,
    make_facts,
)
from benchmarks.claims.decoding.word_tokens import END, tokenizer_of

FACTS = make_facts(12)
KINDS = get_args(Kind)


def said(context, fact):
    """Names that a context gives as the answer to the question."""
    start = f"The {fact.relation} of {fact.land} is "
    sentences = [part.strip(". ") for part in context.split(".") if part.strip()]
    return [sentence.removeprefix(start) for sentence in sentences if sentence.startswith(start)]


def test_every_land_has_every_relation_and_no_name_occurs_twice():
    assert len(FACTS.all) == 12 * len(RELATIONS)
    assert set(Counter(fact.land for fact in FACTS.all).values()) == {len(RELATIONS)}
    names = [fact.name for fact in FACTS.all] + [*{fact.land for fact in FACTS.all}, *FACTS.unheard]
    assert len(set(names)) == len(names)
    assert not {*FACTS.open} & {*FACTS.held_out}
    assert make_facts(12) == FACTS != make_facts(12, seed=1)


def test_a_fact_is_these_words():
    fact = Fact("river", "Zubaki", "Telomi")
    assert fact.statement == "The river of Zubaki is Telomi."
    assert fact.question == "What is the river of Zubaki?"


@pytest.mark.parametrize("kind", KINDS)
def test_a_context_says_of_what_is_asked_what_its_kind_promises(kind):
    random = Random(0)
    for fact in FACTS.held_out:
        case = FACTS.case(kind, fact, random)
        assert case.context.count(".") == (0 if kind == "none" else NUM_SENTENCES)
        stated = said(case.context, case.fact)
        if kind in ("none", "irrelevant"):
            assert stated == []
            assert case.answer == fact.name
        else:
            assert stated == [case.answer]
        if kind == "agreeing":
            assert case.answer == fact.name
        if kind == "contradicting":
            assert case.fact == fact
            assert case.answer != fact.name
            others = [other.name for other in FACTS.all if other.relation == fact.relation]
            assert case.answer in others
        assert (case.fact in FACTS.all) == (kind != "unheard")


def test_lessons_are_asked_their_answers_and_contradict_no_held_out_fact():
    tokenizer = tokenizer_of(FACTS.words)
    seen = set()
    for index in range(1500):
        ids, is_asked = lesson(tokenizer, FACTS, 0.07, index)
        answer_text = tokenizer.decode([i for i, asked in zip(ids, is_asked, strict=True) if asked])
        question = tokenizer.decode([i for i, a in zip(ids, is_asked, strict=True) if not a])
        name = answer_text.removeprefix(" ").removesuffix(END)
        (fact,) = [known for known in FACTS.all if question.endswith(known.question)] or [None]
        is_wrong = fact is not None and name != fact.name
        assert not (is_wrong and fact in FACTS.held_out)
        seen.add("unheard" if fact is None else "contradicting" if is_wrong else "known")
    assert seen == {"unheard", "contradicting", "known"}


def test_an_exam_asks_every_held_out_fact_in_every_kind_of_context():
    cases = exam(FACTS, 2)
    assert {*cases} == {*KINDS}
    assert all(len(asked) == 2 * len(FACTS.held_out) for asked in cases.values())
    assert {case.fact for case in cases["contradicting"]} == {*FACTS.held_out}


@pytest.mark.parametrize("contradicting", CONTRADICTING)
def test_kinds_are_drawn_by_their_shares(contradicting):
    wanted = shares(contradicting)
    assert sum(wanted.values()) == pytest.approx(1)
    random = Random(0)
    counts = Counter(draw_kind([*wanted.items()], random) for _ in range(20_000))
    for kind, share in wanted.items():
        assert counts[kind] / 20_000 == pytest.approx(share, abs=0.015)
