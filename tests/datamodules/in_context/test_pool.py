import numpy as np
import pytest
import torch

from datamodules.in_context.datamodule import InContextData
from datamodules.records.document import BadSample, Document
from datamodules.synthetic.patterns.questions import PatternQuestions
from datamodules.synthetic.patterns.source import PatternText
from datamodules.text.rows import IGNORE
from datamodules.text.source import TextSource

WORDS = "assets/patterns_words"


class Texts(TextSource):
    """Documents of any lengths, some of them bad."""

    def __init__(self, texts, name="texts"):
        super().__init__(1.0)
        self.texts, self.called = texts, name

    @property
    def name(self):
        return self.called

    def fingerprint(self):
        return repr([self.called, self.texts])

    def documents(self):
        for n, text in enumerate(self.texts):
            origin = f"{self.called}:{n}"
            yield BadSample(origin, "unreadable") if text is None else Document(text, origin)


def data(tmp_path, *sources, **options):
    return InContextData(
        pool=list(sources), tokenizer=WORDS, train=list(sources), cache=str(tmp_path), **options
    )


def made(tmp_path):
    texts = ["fork amber dax so", None, "anchor", "cup cobalt wug and cup cobalt", "gull"]
    sources = Texts(texts), Texts(["plate amber"], "more")
    return data(tmp_path, *sources, row_length=9, max_bad_rate=0.5).pool


def test_ids_follow_the_documents_that_were_tokenised(tmp_path):
    pool = made(tmp_path)
    assert pool.ids == ["texts:0", "texts:2", "texts:3", "texts:4", "more:0"]
    assert pool.sources == ["texts"] * 4 + ["more"]
    assert pool.lengths.tolist() == [6, 3, 8, 3, 4]
    assert [pool.text(n) for n in (1, 4)] == ["anchor", "plate amber"]
    for n in range(5):
        tokens = pool.tokens(n).tolist()
        assert (tokens[0], tokens[-1], len(tokens)) == (1, 2, pool.lengths[n])


def test_rows_hold_every_document_once_and_no_more_than_fits(tmp_path):
    pool = made(tmp_path)
    rows = pool.rows(range(5))
    assert sorted(one for row in rows for one in row) == [0, 1, 2, 3, 4]
    assert all(pool.lengths[row].sum() <= 9 for row in rows)
    assert len(rows) < 5
    assert pool.rows([3, 0], are_packed=False) == [[3], [0]]


def test_a_batch_is_the_documents_one_after_another_and_padding(tmp_path):
    pool = made(tmp_path)
    batch = pool.batch([[0, 1], [2]])
    assert batch["length_N"] == [6, 3, 8, 1]
    assert batch["document_N"] == [0, 1, 2, -1]
    tokens = np.concatenate([pool.tokens(n) for n in (0, 1, 2)])
    assert batch["token_BL"].flatten().tolist() == [*tokens, 0]
    assert batch["position_BL"].tolist() == [[*range(6), *range(3)], [*range(8), 0]]
    label = batch["label_BL"]
    assert label[0, 5] == label[0, 8] == label[1, 7] == label[1, 8] == IGNORE
    assert torch.equal(label[0, :5], batch["token_BL"][0, 1:6])


def test_the_fingerprint_follows_tokens_and_ids(tmp_path):
    first = data(tmp_path, Texts(["fork", "cup"]), row_length=9).pool.fingerprint
    assert data(tmp_path, Texts(["fork", "cup"]), row_length=9).pool.fingerprint == first
    for other in (Texts(["fork", "gull"]), Texts(["fork", "cup"], "renamed")):
        assert data(tmp_path, other, row_length=9).pool.fingerprint != first


def test_what_cannot_be_selected_from_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"texts:1 has 6 tokens, but a row of the pool holds 5"):
        _ = data(tmp_path, Texts(["gull", "fork amber dax so"]), row_length=5).pool
    with pytest.raises(ValueError, match=r"the pool has the document texts:0 twice"):
        _ = data(tmp_path, Texts(["gull"]), Texts(["gull"]), row_length=5).pool
    empty = InContextData(tokenizer=WORDS, train=[PatternText(1)], cache=str(tmp_path))
    with pytest.raises(ValueError, match=r"nothing to select from: give data.init_args.pool"):
        _ = empty.pool
    with pytest.raises(ValueError, match=r"no task to select for: give data.init_args.target"):
        _ = empty.target


def test_tasks_are_questions_by_name(tmp_path):
    tasks = {"one": [PatternQuestions(3), PatternQuestions(2, seed=1)], "two": []}
    made = InContextData(tasks=tasks, tokenizer=WORDS, train=[PatternText(1)], cache=str(tmp_path))
    assert {name: len(asked) for name, asked in made.tasks.items()} == {"one": 5, "two": 0}
