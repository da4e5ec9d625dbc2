"""Data over articles that a test gives."""

import pytest

from datamodules.articles.datamodule import ArticleData
from tests.fixtures.articles import LONG, SHORT, Given


@pytest.fixture
def data(tmp_path, tokenizer_folder):
    """Data over given articles."""

    def build(*articles, **more):
        sources = {part: [Given(*articles)] for part in ("train", "validate", "test")}
        sizes = {"article_length": LONG, "summary_length": SHORT, "batch_size": 4}
        given = {**sources, **sizes, "cache": str(tmp_path / "cache"), **more}
        return ArticleData(tokenizer_folder, **given)

    return build


@pytest.fixture
def inputs(tmp_path, tokenizer_folder):
    """The items of predict: id, stance, stance asked for and text of each."""

    def build(texts, **more):
        data = ArticleData(
            tokenizer_folder, texts=texts, batch_size=2, cache=str(tmp_path / "cache"), **more
        )
        data.setup("predict")
        keys = ("id_B", "stance_B", "asked_B", "article_B")
        found = []
        for batch in data.predict_dataloader():
            cells = [b.tolist() if hasattr(b, "tolist") else b for b in map(batch.get, keys)]
            found += zip(*cells, strict=True)
        return found

    return build
