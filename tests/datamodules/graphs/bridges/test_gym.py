"""Problems in both directions between reasoning-gym and us."""

import json

import pytest

from datamodules.graphs.bridges.path_star import problem_of_entry, retold
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.measure import GraphAnswer
from datamodules.graphs.problem import FIELD, from_json
from datamodules.graphs.task import find_task

try:
    from datamodules.graphs.bridges.gym import NAME, GymAnswer, GymQuestions
except ModuleNotFoundError as error:
    HAS_GYM, WHY = False, str(error)
else:
    HAS_GYM, WHY = True, ""

needs_gym = pytest.mark.skipif(not HAS_GYM, reason=WHY or "never")
OF = Distribution("shortest_path", structure="small", ask="format")
ENTRY = {
    "question": "Solve the following task:\n|7 40|7 3|40 12|3 95/7 95 = \n",
    "answer": "7 3 95",
    "metadata": {"source_dataset": "path_star", "source_index": 0},
}


def test_without_the_package_the_hint_names_its_group():
    if HAS_GYM:
        pytest.skip("reasoning-gym is installed")
    with pytest.raises(ModuleNotFoundError, match=r"by `uv run --group gym"):
        import datamodules.graphs.bridges.gym  # noqa: F401


def test_a_path_star_is_retold_with_its_own_edges_and_its_only_path():
    fields, answer = retold(ENTRY, "incident")
    problem = from_json(fields[FIELD])
    labels = [3, 7, 12, 40, 95]
    assert {(labels[a], labels[b]) for a, b, _ in problem.graph.edges} == {
        (7, 40),
        (3, 7),
        (12, 40),
        (3, 95),
    }
    assert [labels[node] for node in problem.asked] == [7, 95]
    assert answer == "The shortest path is 1 -> 0 -> 4. Its length is 2."
    for form, wording in find_task("shortest_path").wordings.items():
        fields, answer = retold(ENTRY, form)
        reread = wording.read(fields["question"], "shortest_path", False)
        assert len(reread.graph.edges) == 4
        assert GraphAnswer().check(fields, answer)["right"] == 1
    with pytest.raises(ValueError, match="no path-star graph"):
        problem_of_entry({"question": "Which?"}, wording)


@needs_gym
def test_our_problems_are_a_dataset_there_scored_by_our_checker():
    import reasoning_gym

    made = reasoning_gym.create_dataset(NAME, of=OF, size=3, seed=5, split="test")
    assert len(made) == 3
    for index, entry in enumerate(made):
        problem = OF.problem(5, "test", index)
        assert entry["question"] == OF.prompt(problem)
        assert made.score_answer(entry["answer"], entry) == 1.0
        score = reasoning_gym.get_score_answer_fn(NAME)
        assert score(entry["answer"], json.loads(json.dumps(entry))) == 1.0
        for text in (None, "", "The answer is 0.", f"{entry['answer']} Its length is 99."):
            assert made.score_answer(text, entry) == 0.0
    with pytest.raises(ValueError, match="split"):
        reasoning_gym.create_dataset(NAME, of=OF, split="tests")


@needs_gym
def test_path_stars_are_questions_in_their_words_and_in_ours():
    theirs = list(GymQuestions(4, seed=2, options={"degree": 3}).questions())
    ours = list(GymQuestions(4, seed=2, options={"degree": 3}, form="expert").questions())
    checker = GymAnswer()
    for one, other in zip(theirs, ours, strict=True):
        assert one.references[0] in json.loads(one.fields["entry"])["answer"]
        assert checker.check(one.fields, one.references[0])["verdict"] == "right"
        assert checker.check(one.fields, "1 2 3")["verdict"] == "wrong"
        assert checker.check(one.fields, " ")["verdict"] == "unparsed"
        assert checker.check(other.fields, other.references[0])["verdict"] == "right"
        hops = len(one.references[0].split()) - 1
        assert other.references[0].endswith(f"Its length is {hops}.")
        assert checker.check(other.fields, other.references[0])["effort"] >= hops


@needs_gym
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dataset": "colouring"}, "colouring"),
        ({"options": {"degree": 1}}, "path_star of reasoning-gym: degree must be at least 2"),
        ({"options": {"colour": 1}}, "path_star of reasoning-gym:.*colour"),
        ({"dataset": "shortest_path", "form": "incident"}, "only path_star is told in forms"),
    ],
)
def test_unknown_datasets_and_options_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        GymQuestions(1, **options)
