import math
from dataclasses import replace

import pytest
import torch
from transformers import AutoTokenizer

from datamodules.in_context.datamodule import InContextData
from datamodules.synthetic.patterns.questions import PatternQuestions
from datamodules.synthetic.patterns.source import KindShares, PatternText
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.selection import orca as orca_module
from modules.icl.selection.options import SelectionOptions
from modules.icl.selection.orca import Orca, top, write_results
from modules.icl.selection.scoring import PoolPass, read_table, write_table
from tests.fixtures.document_gradients import tiny_model

WORDS = "assets/patterns_words"
NUM, K = 24, 5
OPTIONS = SelectionOptions(
    k=K, iterations=2, learning_rate=1e-2, documents_per_step=4, rows_per_batch=3
)
OPTIONS = replace(OPTIONS, task_rows_per_batch=4, save_every=2)


@pytest.fixture
def data(tmp_path):
    pool = [PatternText(NUM, seed=3, shares=KindShares(mapping=0.5))]
    questions = [PatternQuestions(10, seed=1)]
    cache = str(tmp_path / "cache")
    return InContextData(
        pool=pool, target=questions, tokenizer=WORDS, train=pool, row_length=70, cache=cache
    )


def network():
    return LanguageModel(tiny_model("llama", tied=False, vocabulary=256)).eval()


def selector(data, options=OPTIONS, model=None, **more):
    tokenizer = AutoTokenizer.from_pretrained(WORDS)
    return Orca(model or network(), tokenizer, data.pool, data.target, options, **more)


def selected(data, folder, options=OPTIONS, **more):
    return [*selector(data, options, **more).select(folder)][-1]


def plain_gradient(model, names, loss):
    chosen = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, [chosen[name] for name in names])
    return torch.cat([one.flatten() for one in gradients])


def plain_loss(model, tokens, first_target=1):
    """Sum of the losses of the tokens from `first_target` on, of one text read alone."""
    with model.generating() as own:  # by the attention of transformers
        logits_LV = own(torch.tensor([tokens])).logits[0]
    log_p = logits_LV.log_softmax(-1)
    return -sum(log_p[at - 1, tokens[at]] for at in range(first_target, len(tokens)))


def plain_selection(data, options):
    """The same by a loop over documents, with one gradient after another."""
    model, tokenizer = network(), AutoTokenizer.from_pretrained(WORDS)
    names = chosen_parameters(model, options.embeddings, options.norms)
    texts = [[1, *tokenizer(d.text)["input_ids"], 2] for d in data.pool.documents]
    gradients = [plain_gradient(model, names, plain_loss(model, one)) for one in texts]
    cosines, picked, union = [], [], []
    for _ in range(options.iterations):
        moved = network()
        plain_training(moved, texts, union, options)
        direction = 0
        for one in data.target:
            prompt = [1, *tokenizer(one.fields["prompt"])["input_ids"]]
            answer = tokenizer(one.choices[one.answer].strip())["input_ids"]
            loss = plain_loss(moved, prompt + answer, len(prompt))
            direction = direction + plain_gradient(moved, names, loss)
        cosine = [float(torch.cosine_similarity(one, direction, dim=0)) for one in gradients]
        order = sorted(range(NUM), key=lambda n: (-cosine[n], data.pool.ids[n]))
        cosines.append(cosine)
        picked.append(order[: options.k])
        union = [*dict.fromkeys(union + picked[-1])]
    return cosines, picked


def plain_training(model, texts, union, options):
    from random import Random

    if not union:
        return
    order = sorted(union)
    Random(len(order)).shuffle(order)
    adam = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    for start in range(0, len(order), options.documents_per_step):
        some = [texts[n] for n in order[start : start + options.documents_per_step]]
        loss = sum(plain_loss(model, one) for one in some) / sum(len(one) - 1 for one in some)
        adam.zero_grad()
        loss.backward()
        adam.step()


@pytest.mark.parametrize("embeddings", [True, False])
def test_documents_are_those_of_a_loop_over_gradients(data, tmp_path, embeddings):
    options = replace(OPTIONS, embeddings=embeddings)
    found = selected(data, tmp_path / "s", options)
    cosines, picked = plain_selection(data, options)
    for number, cosine in enumerate(cosines, 1):
        assert found.columns[f"cosine_{number}"] == pytest.approx(cosine, abs=1e-5)
    assert cosines[0] != pytest.approx(cosines[1], abs=1e-2)  # training has moved the task
    assert found.picked == picked


def test_the_model_has_its_weights_back(data, tmp_path):
    model = network()
    before = {name: p.clone() for name, p in model.named_parameters()}
    selected(data, tmp_path / "s", model=model)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)


def test_rows_of_several_documents_give_the_scores_of_single_ones(data, tmp_path):
    packed = selected(data, tmp_path / "packed")
    single = selected(data, tmp_path / "single", replace(OPTIONS, are_packed=False))
    assert any(len(row) == 2 for row in data.pool.rows(range(NUM)))
    assert packed.picked == single.picked
    for name in ("cosine_1", "cosine_2", "norm", "loss"):
        assert packed.columns[name] == pytest.approx(single.columns[name], rel=1e-6)


def part_files(pool_pass, folder, written=()):
    """Files that each of two ranks writes, where some are there."""
    for number in written:
        write_table({"document": [number]}, pool_pass.file(folder, number))
    missing = pool_pass.missing(folder)
    return [missing[rank::2] for rank in range(2)]


def test_ranks_share_what_is_missing_evenly_whoever_wrote_the_rest(data, tmp_path):
    rows = [[n] for n in range(NUM)]
    pool_pass = PoolPass(data.pool, rows, 2, 2)  # six files of two batches
    assert part_files(pool_pass, tmp_path / "new") == [[0, 2, 4], [1, 3, 5]]
    assert part_files(pool_pass, tmp_path / "begun", written=(0, 2)) == [[1, 4], [3, 5]]


def test_a_stopped_selection_goes_on_where_it_was(data, tmp_path, monkeypatch):
    whole = selected(data, tmp_path / "whole")
    calls = []
    score = orca_module.GradientScores.__call__

    def stopping(self, batch):
        calls.append(batch)
        if len(calls) == 6:  # in the middle of the second pass: four batches a pass
            raise KeyboardInterrupt
        return score(self, batch)

    monkeypatch.setattr(orca_module.GradientScores, "__call__", stopping)
    with pytest.raises(KeyboardInterrupt):
        selected(data, tmp_path / "stopped")
    assert selected(data, tmp_path / "stopped") == whole
    assert len(calls) == 6 + 4  # the first pass, and what was written of the second, are kept


def test_a_selection_that_was_begun_otherwise_is_refused(data, tmp_path):
    selected(data, tmp_path / "s")
    other = network()
    other.model.lm_head.weight.data[0] += 1
    with pytest.raises(ValueError, match="other values of: the weights"):
        selected(data, tmp_path / "s", model=other)
    with pytest.raises(ValueError, match="other values of: k, learning_rate"):
        selected(data, tmp_path / "s", replace(OPTIONS, k=4, learning_rate=1e-3))
    data.pool.ids[0] = "another"
    with pytest.raises(ValueError, match="other values of: the documents of the pool"):
        selected(data, tmp_path / "s")


def test_later_iterations_may_leave_out_what_was_picked(data, tmp_path):
    found = selected(data, tmp_path / "s", replace(OPTIONS, without_picked=True))
    assert len(found.union) == 2 * K
    again = selected(data, tmp_path / "t")
    assert len(again.union) < 2 * K


def test_more_documents_than_the_pool_has_are_refused(data):
    with pytest.raises(ValueError, match=f"25 documents are to be selected from {NUM}; lower k"):
        selector(data, replace(OPTIONS, k=25))
    with pytest.raises(ValueError, match=f"26 documents are to be selected from {NUM}; lower k"):
        selector(data, replace(OPTIONS, k=13, without_picked=True))


def test_documents_without_a_score_are_left_out_and_ties_go_by_id():
    scores = [0.1, math.nan, 0.3, 0.3, -math.inf]
    assert top(scores, ["a", "b", "d", "c", "e"], 3, set()) == [3, 2, 0]
    assert top(scores, ["a", "b", "d", "c", "e"], 2, {3}) == [2, 0]
    with pytest.raises(ValueError, match=r"only 3 of 5 have a score: those of one token"):
        top(scores, ["a", "b", "d", "c", "e"], 4, set())


def test_a_document_of_one_token_has_no_score(data, tmp_path, monkeypatch):
    batch = data.pool.batch

    def shortened(rows):
        made = batch(rows)
        made["label_BL"][[n for n, row in enumerate(rows) if 0 in row]] = IGNORE
        return made

    monkeypatch.setattr(data.pool, "batch", shortened)
    found = selected(data, tmp_path / "s", replace(OPTIONS, are_packed=False, k=NUM - 1))
    assert math.isnan(found.columns["cosine_1"][0])
    assert 0 not in found.union
    assert len(found.union) == NUM - 1


def test_results_are_tables_of_all_documents_and_of_the_selected_with_their_text(data, tmp_path):
    found = selected(data, tmp_path)
    path = write_results(found, data.pool, tmp_path)
    scores, chosen = read_table(tmp_path / "scores.parquet"), read_table(path)
    assert scores["id"] == data.pool.ids
    assert [n for n, one in enumerate(scores["iteration"]) if one] == sorted(found.union)
    assert chosen["id"] == [data.pool.ids[n] for n in found.union]
    assert chosen["text"] == [data.pool.text(n) for n in found.union]
    assert chosen["score"][:K] == sorted(chosen["score"][:K], reverse=True)
    assert set(chosen["iteration"]) <= {1, 2}


def test_tokens_of_the_documents_at_both_ends_sum_to_their_cosines(data, tmp_path):
    found = selected(data, tmp_path)
    for number, shown in enumerate(found.shown, 1):
        cosine = found.columns[f"cosine_{number}"]
        order = [one.document for one in shown]
        assert order == sorted(order, key=lambda n: -cosine[n])
        assert len(order) == len(set(order)) == NUM  # fewer than twice twenty
        for one in shown:
            assert sum(one.parts) == pytest.approx(cosine[one.document], abs=1e-6)
            assert " ".join(one.tokens[1:-1]) == data.pool.text(one.document)
