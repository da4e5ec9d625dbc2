import json

import numpy as np
import pytest
from jsonargparse import ArgumentParser
from transformers import AutoTokenizer

from datamodules.questions.demonstrations import (
    Demonstration,
    Demonstrations,
    FileDemonstrations,
)
from modules.decoding.alignment import InContextAlignment
from modules.prompting.budget import Budget
from modules.prompting.ranking import Ranking
from modules.prompting.retrieval import BM25, Random, Retriever
from modules.prompting.templates import ChatTurns, QuestionOnly, num_tokens

POOL = Demonstrations(
    [
        Demonstration("Name a cat.", "Tom"),
        Demonstration("Name a dog.", "Rex"),
        Demonstration("What is a cat and what is it not, in many words?", "A cat. " * 30),
        Demonstration("Add 1 and 2.", "3"),
        Demonstration("name a  cat.", "Felix"),
        Demonstration("Which cat is old?", "Garfield"),
    ]
)
CAT = {"prompt": "Name a cat."}


class InOrder(Retriever):
    """The keys as they come."""

    def __init__(self, keys):
        self.num = len(keys)

    def rank(self, queries, k):
        index_K = np.arange(min(k, self.num))
        return Ranking(np.tile(index_K, (len(queries), 1)), -np.ones((len(queries), len(index_K))))


@pytest.fixture
def tokenizer(tokenizer_folder):
    return AutoTokenizer.from_pretrained(tokenizer_folder)


def responses(aligned) -> list[str]:
    return [demonstration.response for demonstration in aligned.shown]


def test_the_most_similar_demonstration_stands_last(tokenizer):
    (prompt,) = InContextAlignment(POOL, BM25).aligned(
        [{"prompt": "Name a dog, not a cat."}], tokenizer
    )
    assert responses(prompt)[-1] == "Rex"
    assert prompt.scores == sorted(prompt.scores)
    places = [
        prompt.text.index(f"Question: {demonstration.prompt}") for demonstration in prompt.shown
    ]
    assert places == sorted(places)
    assert prompt.text.endswith(
        "Question: Name a dog, not a cat.\n\nHere\u2019s an example answer:"
    )


def test_a_question_does_not_retrieve_itself_unless_it_may(tokenizer):
    for num in (1, 4, 9):
        (prompt,) = InContextAlignment(POOL, InOrder, num_candidates=num).aligned([CAT], tokenizer)
        assert responses(prompt) == ["Rex", "A cat. " * 30, "3", "Garfield"][:num][::-1]
    (prompt,) = InContextAlignment(POOL, InOrder, num_candidates=2, keep_same=True).aligned(
        [CAT], tokenizer
    )
    assert responses(prompt) == ["Rex", "Tom"]


@pytest.mark.parametrize("build", [BM25, Random])
def test_several_questions_give_the_prompts_of_each_alone(tokenizer, build):
    alignment = InContextAlignment(POOL, build, num_candidates=3)
    questions = [CAT, {"prompt": "Is a dog old?"}, {"prompt": "?"}]
    together = alignment.prompts(questions, tokenizer)
    assert together == [alignment.prompt(question, tokenizer) for question in questions]


def test_demonstrations_keep_to_their_budget_and_skip_long_ones(tokenizer):
    alignment = InContextAlignment(POOL, InOrder, budget=Budget(total=130, longest=60))
    (prompt,) = alignment.aligned([{"prompt": "Is it?"}], tokenizer)
    lengths = [
        alignment.template.length(demonstration, tokenizer) for demonstration in prompt.shown
    ]
    assert sum(lengths) == prompt.packing.num_tokens <= 130
    assert prompt.packing.num_too_long == 1
    assert "A cat. A cat." not in prompt.text
    assert len(prompt.shown) >= 2


def test_the_least_similar_give_way_until_the_whole_prompt_fits(tokenizer):
    (whole,) = InContextAlignment(POOL, InOrder).aligned([{"prompt": "Is it?"}], tokenizer)
    most = num_tokens(whole.text, tokenizer) - 1
    alignment = InContextAlignment(POOL, InOrder, budget=Budget(prompt=most))
    (prompt,) = alignment.aligned([{"prompt": "Is it?"}], tokenizer)
    assert prompt.shown == whole.shown[1:]
    assert prompt.packing.num_over == 1
    assert num_tokens(prompt.text, tokenizer) <= most
    alone = InContextAlignment(POOL, None).prompt({"prompt": "Is it?"}, tokenizer)
    exact = Budget(prompt=num_tokens(alone, tokenizer))
    assert (
        InContextAlignment(POOL, InOrder, budget=exact).prompt({"prompt": "Is it?"}, tokenizer)
        == alone
    )
    for most in (0, 3):  # the caller has to handle a question that is too long
        less = InContextAlignment(POOL, InOrder, budget=Budget(prompt=most))
        assert less.prompt({"prompt": "Is it?"}, tokenizer) == alone


def test_without_a_retriever_there_is_the_question_alone(tokenizer):
    alignment = InContextAlignment(FileDemonstrations("nowhere.jsonl"), None, QuestionOnly())
    assert alignment.prompt(CAT, tokenizer) == "Question: Name a cat.\n\nAnswer:"
    assert alignment.stops == ["\nQuestion:"]
    with pytest.raises(ValueError, match="there is no retriever"):
        alignment.retriever  # noqa: B018


def test_demonstrations_become_turns_of_a_chat(tokenizer):
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'][0] }}:{{ m['content'] }};{% endfor %}"
    )
    alignment = InContextAlignment(POOL, InOrder, ChatTurns(), num_candidates=1)
    assert alignment.prompt({"prompt": "Hm?"}, tokenizer) == "u:Name a cat.;a:Tom;u:Hm?;"


def test_no_candidate_is_refused():
    with pytest.raises(ValueError, match="num_candidates must be at least 1, got 0"):
        InContextAlignment(POOL, BM25, num_candidates=0)


def test_a_config_names_all_parts_and_nothing_is_read_before_it_is_needed(tmp_path, tokenizer):
    where = "modules.prompting"
    encoder = {"class_path": f"{where}.encoder.SentenceEncoder", "init_args": {"path": "nowhere"}}
    retrievers = [
        {"class_path": f"{where}.retrieval.BM25", "init_args": {"k1": 0.9}},
        {"class_path": f"{where}.retrieval.Random", "init_args": {"seed": 3}},
        {"class_path": f"{where}.retrieval.Dense", "init_args": {"encoder": encoder}},
    ]
    parser = ArgumentParser()
    parser.add_class_arguments(InContextAlignment, "alignment")
    file = tmp_path / "pool.jsonl"
    pool = {
        "class_path": "datamodules.questions.demonstrations.FileDemonstrations",
        "init_args": {"path": str(file), "response": "{answer}"},
    }
    for retriever in retrievers:
        config = {
            "pool": pool,
            "retriever": retriever,
            "template": {"class_path": f"{where}.templates.QuestionOnly"},
            "budget": {"total": 50, "fill": True},
        }
        parsed = parser.parse_args([f"--alignment={json.dumps(config)}"])
        alignment = parser.instantiate(parsed).alignment
        assert alignment.budget == Budget(50, fill=True)
        assert isinstance(alignment.template, QuestionOnly)
        assert not file.exists()
    file.write_text('{"prompt": "a b", "answer": "c"}\n{"prompt": "a d", "answer": "e"}')
    assert isinstance(alignment.retriever, Retriever)
    assert alignment.pool.prompts == ["a b", "a d"]
