from dataclasses import fields, replace
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.claims.decoding.synthetic_formats import CASES, Format, formats
from benchmarks.claims.decoding.synthetic_tasks import (
    TOPICS,
    Task,
    different,
    episode,
    reveals,
    task,
    world,
)
from modules.decoding.alignment import InContextAlignment
from modules.prompting.retrieval import BM25
from modules.prompting.retrieval import Random as RandomRetriever

ALL = formats(False) + formats(True)
FORMATS = st.sampled_from(ALL)
WORDS = st.lists(st.from_regex("[a-z]{2,6}|[0-9]{1,2}", fullmatch=True), min_size=1, max_size=4)
NAMES = [field.name for field in fields(Format)]


# Formats


def test_formats_are_all_different_and_a_quarter_is_held_out():
    assert len(set(ALL)) == len(ALL) == 6 * 6 * 6 * 3 * 2 * 5
    assert len(formats(True)) * 4 == len(ALL)


@pytest.mark.parametrize("names", combinations(NAMES, 2), ids="-".join)
def test_training_shows_every_pair_of_parts_and_so_do_held_out_formats(names):
    pairs = [
        {tuple(getattr(answer_format, n) for n in names) for answer_format in formats(out)}
        for out in (0, 1)
    ]
    assert pairs[0] == pairs[1]
    sizes = [len({getattr(answer_format, name) for answer_format in ALL}) for name in names]
    assert len(pairs[0]) == sizes[0] * sizes[1]


def test_no_two_formats_write_the_same_answer_of_two_words():
    assert len({answer_format.write(["hen", "cow"]) for answer_format in ALL}) == len(ALL)


def test_an_answer_is_this_text():
    assert Format("so: ", "[]", "-", "upper", True, "!").write(["hen", "cow"]) == "so: [COW-HEN]!"
    assert Format("", "", " ", "title", False, "").write(["hen", "2"]) == "Hen 2"


@given(FORMATS, WORDS)
def test_reading_is_the_inverse_of_writing(how, items):
    assert how.read(how.write(items)) == items


@given(FORMATS, FORMATS, st.permutations(["hen", "cow", "pig"]))
def test_what_another_format_wrote_is_never_read_as_the_same(how, other, items):
    assert how == other or other.read(how.write(items)) != items


@given(FORMATS, st.text(max_size=12))
def test_what_is_read_was_written(how, text):
    items = how.read(text)
    assert items is None or how.write(items) == text


# Tasks


def test_words_belong_to_one_topic_and_are_no_topics():
    words = [word for topic in TOPICS.values() for word in topic]
    assert len(words) == len({*words, *TOPICS}) - len(TOPICS)
    assert all(word.isalpha() and word.islower() and len(word) <= 5 for word in words)


@pytest.mark.parametrize("topic", TOPICS)
def test_an_answer_follows_from_its_question(topic):
    random = Random(0)
    for _ in range(50):
        example = task(topic, random)
        name, kind, *rest = example.prompt.split()
        assert name == f"{topic}:"
        if kind == "list":
            expected = rest
        elif kind == "ends":
            expected = [rest[0], rest[2]]
        elif kind == "first":
            expected = rest[:1]
        else:
            total = int(rest[0]) + int(rest[1])
            names = "two three four five six seven eight nine ten eleven twelve".split()
            expected = [names[total - 2], rest[2]]
        assert [*example.items] == expected


@pytest.mark.parametrize("num_shown", [1, 2, 4])
def test_demonstrations_leave_one_answer_whatever_format_they_could_have(num_shown):
    """Of all formats that fit every demonstration, each writes the same answer."""
    random = Random(1)
    for how in random.sample(ALL, 12):
        *shown, asked = different("farm", num_shown + 1, random)
        fits = [f for f in ALL if all(f.write(o.items) == how.write(o.items) for o in shown)]
        answers = {answer_format.write(asked.items) for answer_format in fits}
        assert how.write(asked.items) in answers
        assert (len(answers) == 1) == reveals(shown, asked)


def test_without_a_demonstration_nothing_is_revealed():
    assert not reveals([], Task("farm", "farm: first hen pig cow", ("hen",)))


def test_an_episode_is_always_the_same_and_no_other():
    assert episode(0, 3, 2) == episode(0, 3, 2)
    texts = [episode(seed, index, 2).text for seed in range(3) for index in range(40)]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("is_held_out", [False, True])
def test_an_episode_has_one_topic_one_format_of_its_kind_and_no_task_twice(is_held_out):
    for index in range(60):
        shown, asked = episode(0, index, 3, is_held_out)
        assert len({example.origin for example in (*shown, asked)}) == 1
        assert len({example.prompt for example in (*shown, asked)}) == 4
        fits = [f for f in formats(is_held_out) if all(f.read(o.response) for o in (*shown, asked))]
        assert fits


def test_an_episodes_text_is_the_papers_prompt_and_its_answer():
    shown, asked = made = episode(0, 0, 1)
    assert made.text == (
        f"Question: {shown[0].prompt}\n\nHere\u2019s an example answer: {shown[0].response}\n\n"
        f"Question: {asked.prompt}\n\nHere\u2019s an example answer: {asked.response}"
    )


def test_episodes_are_short():
    lengths = sorted(len(episode(0, index, 4).text) for index in range(1000))
    assert sum(lengths) / 1000 < 390
    assert lengths[-10] < 420


# Worlds


@pytest.fixture(scope="module")
def made():
    return world(seed=0, num_shown=8, num_asked=4)


def test_a_world_is_always_the_same(made):
    again = world(seed=0, num_shown=8, num_asked=4)
    assert again.formats == made.formats
    assert again.pool.demonstrations == made.pool.demonstrations
    assert again.questions == made.questions
    assert world(1, 8, 4).formats != made.formats


def test_each_topic_has_its_own_held_out_format_and_no_question_is_demonstrated(made):
    assert len({*made.formats.values()}) == len(TOPICS) == len(made.formats)
    assert {*made.formats.values()} <= {*formats(True)}
    assert {*world(0, 1, 1, is_held_out=False).formats.values()} <= {*formats(False)}
    assert len(made.pool.demonstrations) == 8 * len(TOPICS)
    assert len(made.questions) == 4 * len(TOPICS)
    shown = {demonstration.prompt for demonstration in made.pool.demonstrations}
    assert not shown & {question.prompt for question in made.questions}
    for demonstration in made.pool.demonstrations:
        assert made.formats[demonstration.origin].read(demonstration.response) is not None


def share_of_right_format(made, build, num: int) -> float:
    """How many of the retrieved demonstrations have the format that the question wants."""
    alignment = InContextAlignment(made.pool, build, num_candidates=num)
    candidates = alignment.candidates([question.prompt for question in made.questions])
    right = [
        made.pool.demonstrations[number].origin == asked.topic
        for asked, candidate_list in zip(made.questions, candidates, strict=True)
        for number, _ in candidate_list
    ]
    return sum(right) / len(right)


def test_retrieval_by_words_finds_the_right_format_and_chance_does_not(made):
    assert share_of_right_format(made, BM25, 1) > 0.9
    assert share_of_right_format(made, BM25, 4) > 0.9
    assert share_of_right_format(made, RandomRetriever, 4) < 0.1


def test_grades_tell_format_from_words(made):
    asked = next(question for question in made.questions if len(question.items) == 2)
    how = made.formats[asked.topic]
    right = how.write(asked.items)
    assert made.grade(asked, f" {right}\n") == (True, True, True)
    assert made.grade(asked, how.write(["wrong"])) == (False, True, False)
    case = next(name for name in CASES if name != how.case)
    ending = "." if how.ending != "." else "!"
    other = replace(how, case=case, ending=ending)
    assert made.grade(asked, other.write(asked.items)) == (False, False, True)
    assert made.grade(asked, "") == (False, False, False)


def test_more_tasks_than_there_are_are_refused():
    with pytest.raises(ValueError, match="there are not 9999 different tasks of 'farm'"):
        different("farm", 9999, Random(0))
