"""Data for transfer, and problems of users."""

from pathlib import Path

import pytest

from datamodules.graphs.conversations import GraphConversations
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.code import GraphCode
from datamodules.graphs.inputs import GraphFile, question_of
from datamodules.graphs.measure import GraphAnswer, GraphReward
from datamodules.graphs.problem import problem_of
from datamodules.graphs.questions import GraphQuestions
from datamodules.graphs.task import find_task
from datamodules.graphs.transfer import TransferData
from datamodules.graphs.wording.wording import Wording

SMALL = Distribution(structure="small", rationale="search")
VARIANTS = {"incident": {"form": "incident"}, "adjacency": {"form": "adjacency"}}


def data(trained_on: list[str], **more: object) -> TransferData:
    return TransferData(
        VARIANTS, trained_on, SMALL, 20, 10, 5, tokenizer="assets/graph_bpe", **more
    )


def test_all_are_asked_the_same_whatever_they_were_trained_on():
    one, other = data(["incident"]), data(["untuned"])
    assert one.asked("test") == other.asked("test")
    assert [*one.asked("validate")] == ["incident"]
    assert [*other.asked("validate")] == ["incident", "adjacency"]


def test_untuned_learns_the_answers_of_other_problems():
    right = GraphConversations(60, SMALL)
    shuffled = GraphConversations(60, SMALL, answers="shuffled")
    said, other = (
        [one.messages[1]["content"] for one in source.documents()] for source in (right, shuffled)
    )
    assert sorted(said) == sorted(other)
    verdicts = [
        find_task("connectivity").judge(SMALL.problem(0, "train", index), text)
        for index, text in enumerate(other)
    ]
    assert 0.2 < verdicts.count("right") / 60 < 0.8


@pytest.mark.parametrize(
    ("trained_on", "more", "reason"),
    [
        (["expert"], {}, "there are incident, adjacency, or"),
        (["incident"], {"validate_tasks": ["x"]}, "validate_tasks: x; there are"),
    ],
)
def test_unknown_distributions_are_refused(trained_on, more, reason):
    with pytest.raises(ValueError, match=reason):
        data(trained_on, **more)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"task": "colouring"}, "there is no task colouring; there are connectivity"),
        ({"form": "gossip"}, "connectivity has no form gossip; there are adjacency"),
        ({"structure": "transitive"}, "structure"),
        ({"nodes": (9, 4)}, "nodes must rise"),
        ({"numbers": "huge"}, "numbers"),
    ],
)
def test_unknown_options_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        Distribution(**options)


def test_a_behaviour_hash_changes_with_what_is_drawn_or_told():
    hashes = {
        of.behaviour for of in (SMALL, Distribution(structure="small"), Distribution(nodes=(5, 6)))
    }
    assert len(hashes) == 3
    [first, *_] = GraphQuestions(2, SMALL).questions()
    assert first.fields["set"].endswith(SMALL.behaviour)


def test_the_measure_counts_verdicts_and_steps_that_do_not_prove():
    [question] = GraphQuestions(1, SMALL).questions()
    problem = problem_of(question.fields)
    proof = SMALL.response(problem, 0, 0)
    bare = find_task("connectivity").answer(problem)
    checker = GraphAnswer()
    assert checker.check(question.fields, proof)["unproved"] == 0.0
    assert checker.check(question.fields, bare)["unproved"] is None
    stray = f"From {problem.names[problem.asked[0]]} we reach nothing new. {bare}"
    assert checker.check(question.fields, stray)["unproved"] == 1.0
    assert GraphReward().judge(question.fields, stray) == (1.0, "right")
    assert GraphReward("share", 0.5).judge(question.fields, stray)[0] < 1.0


def test_a_graph_file_is_asked_about(tmp_path):
    path = tmp_path / "trips.edgelist"
    path.write_text("# roads\na b 2\nb c 3.5\nd\n")
    asked = GraphFile(str(path), "shortest_path", ["a", "c"]).question()
    problem = problem_of(asked)
    assert find_task("shortest_path").answer(problem) == (
        "The shortest path is a -> b -> c. Its length is 5.5."
    )
    assert "d" in problem.names
    nothing = GraphFile(str(path), "connectivity", ["a", "d"]).question()
    assert find_task("connectivity").answer(problem_of(nothing)) == "The answer is no."


def test_graphml_is_read_as_networkx_wrote_it(tmp_path):
    import networkx as nx

    made = nx.Graph([("x", "y", {"weight": 4}), ("y", "z", {"weight": 1})])
    nx.write_graphml(made, tmp_path / "g.graphml")
    asked = GraphFile(str(tmp_path / "g.graphml"), "shortest_path", ["x", "z"]).question()
    assert find_task("shortest_path").answer(problem_of(asked)).endswith("Its length is 5.")


@pytest.mark.parametrize(
    ("text", "task", "reason"),
    [
        ("a a\na b\n", "connectivity", "self-loop"),
        ("a b\nb a\n", "connectivity", "occurs twice"),
        ("a b 1 2\n", "connectivity", ":1: two nodes and a weight"),
        ("a b\n", "shortest_path", ":1: shortest_path needs a weight, got None"),
        ("a b -1\n", "shortest_path", "must be positive"),
        ("\n", "connectivity", "has no node"),
        ("a c 1\n", "connectivity", "no node b; there are a, c"),
    ],
)
def test_a_bad_graph_file_is_refused_with_its_place(tmp_path, text, task, reason):
    path = tmp_path / "g.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason) as refused:
        GraphFile(str(path), task, ["a", "b"]).question()
    assert "g.txt" in str(refused.value)


def test_a_problem_in_words_is_recognised_and_other_texts_are_asked_as_they_are():
    problem = Distribution("max_flow", structure="small").problem(0, "test", 0)
    text = Distribution("max_flow").prompt(problem)
    assert problem_of(question_of(text)).asked == problem.asked
    assert question_of("What is a graph?") == {"question": "What is a graph?"}


def test_a_user_brings_a_wording_of_his_own():
    of = Distribution(form="assets/graph_wordings/buses.yaml", structure="small")
    problem = of.problem(0, "test", 0)
    text = of.prompt(problem)
    assert "A bus runs between" in text
    told = of.wording.read(text, "connectivity", False)
    assert {told.names[node] for node in told.asked} == {
        problem.names[node] for node in problem.asked
    }


def test_a_wording_that_cannot_be_read_back_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="a line tells a and b, or node and neighbours"):
        Wording("x", "{a} alone", "y")
    with pytest.raises(ValueError, match="a wording has fields"):
        Wording("x", "{a} {b} {colour}", "y")
    bad = tmp_path / "bad.yaml"
    bad.write_text("line: [1]\n")
    with pytest.raises(ValueError, match="a wording is a table of texts"):
        Distribution(form=str(bad))


def test_programs_print_what_python_prints(capsys):
    for index in range(20):
        asked, printed = GraphCode(20, seed=3).program(index)
        exec(asked.partition("\n")[2])
        assert capsys.readouterr().out.strip() == printed


def test_the_loss_of_a_test_is_of_other_graphs_than_that_of_the_validation():
    sources = data(["incident"]).sources
    assert [one.split for one in (*sources["train"], *sources["validate"], *sources["test"])] == [
        "train",
        "validate",
        "test",
    ]
