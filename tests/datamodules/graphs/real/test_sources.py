"""Real questions of rows written here: prompts, references and exact verdicts."""

import json

import pytest

from datamodules.graphs.real.answers import RealAnswer
from datamodules.graphs.real.sources import (
    ExplaGraphs,
    KnowledgeCrosswords,
    ProScript,
    StrategyQA,
)


def only(source):
    (found,) = source.questions()
    return found


def written(folder, text):
    path = folder / "rows"
    path.write_text(text, encoding="utf-8")
    return str(path)


def verdict(question, text):
    return RealAnswer().check(question.fields, text)["verdict"]


def test_strategy_qa(tmp_path):
    row = {"question": "Can a duck swim?", "answer": True}
    found = only(StrategyQA(written(tmp_path, json.dumps([row]))))
    assert found.references == ["yes"]
    assert "Can a duck swim?" in found.fields["question"]
    assert verdict(found, "The answer is yes.") == "right"
    assert verdict(found, "no") == "wrong"
    assert verdict(found, "Yes. Or no.") == "ambiguous"


def test_expla_graphs(tmp_path):
    row = 'Cats are good\tCats "harm" birds\tcounter\t(cats; harms; birds)\n'
    found = only(ExplaGraphs(written(tmp_path, row)))
    assert verdict(found, "They counter each other.") == "right"
    assert verdict(found, "It supports the belief.") == "wrong"
    assert verdict(found, "It does not counter") == "ambiguous"
    assert verdict(found, "support or counter") == "ambiguous"
    assert verdict(found, "") == "unparsed"


def test_knowledge_crosswords(tmp_path):
    row = {"q": "Who?", "options": ["Ada", "Bo", "Cy", "Di"], "answer": 2}
    found = only(KnowledgeCrosswords(written(tmp_path, json.dumps(row)), question="q"))
    assert found.references == ["C"]
    assert "C. Cy" in found.fields["question"]
    for text in ("C", "**C**", "The answer is C.", "Option C", "(C)"):
        assert verdict(found, text) == "right"
    assert verdict(found, "The answer is A.") == "wrong"
    assert verdict(found, "The answer is C. Wait, the answer is A.") == "ambiguous"


def test_pro_script(tmp_path):
    row = {"scenario": "bake", "events": ["eat", "mix", "heat"], "edges": [[1, 2], [2, 0]]}
    found = only(ProScript(written(tmp_path, json.dumps(row))))
    check = RealAnswer().check
    assert found.references == ["step1 -> step2 -> step0"]
    assert check(found.fields, "step1->step2->step0")["verdict"] == "right"
    swapped = check(found.fields, "The order is step2 -> step1 -> step0.")
    assert (swapped["verdict"], swapped["edges"]) == ("wrong", 0.5)
    short = check(found.fields, "The order is step1 -> step2.")
    assert (short["verdict"], short["edges"]) == ("infeasible", 0.5)
    assert check(found.fields, "I don't know")["edges"] == 0


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (StrategyQA, '[{"question": "?", "answer": "yes"}]'),
        (ExplaGraphs, "a\tb\tneutral\tg\n"),
        (KnowledgeCrosswords, '{"question": "?", "options": ["a"], "answer": "A"}'),
        (ProScript, '{"scenario": "x", "events": ["a", "b"], "edges": [[0, 1], [1, 0]]}'),
        (ProScript, '{"scenario": "x", "events": ["a"]}'),
    ],
)
def test_a_bad_row_is_named(tmp_path, kind, text):
    with pytest.raises(ValueError, match="row 1"):
        only(kind(written(tmp_path, text)))
