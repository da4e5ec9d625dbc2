import pytest

from datamodules.labelled_text.datamodule import LabelledTextData
from tests.fixtures.machine_texts import made_up, source, write


@pytest.fixture
def data(tmp_path, tokenizer_folder):
    """Data over a small table."""

    def build(rows=None, name="texts.parquet", **more):
        path = tmp_path / name
        if rows is not None or not path.exists():
            write(made_up() if rows is None else rows, path)
        sizes = {"batch_size": 4, "max_length": 64, "cache": str(tmp_path / "cache")}
        return LabelledTextData(tokenizer_folder, [source(path)], **{**sizes, **more})

    return build
