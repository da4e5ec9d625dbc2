import pytest

from datamodules.synthetic.stories.source import StoryText
from datamodules.text.datamodule import TextData


@pytest.fixture
def make(tmp_path_factory, tokenizer_folder):
    """Builds text data with a cache that all tests of this run share."""
    cache = str(tmp_path_factory.getbasetemp() / "cache")

    def build(**options) -> TextData:
        options = {"train": [StoryText(60)], "row_length": 384, "batch_size": 4} | options
        return TextData(tokenizer_folder, cache=cache, **options)

    return build
