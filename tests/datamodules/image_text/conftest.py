import pytest

from datamodules.image_text.datamodule import ImageTextData


@pytest.fixture
def make(tokenizer_folder):
    """Builds data of small images."""

    def build(*train, **options) -> ImageTextData:
        options = {"image_size": 8, "num_patches": 4, "batch_size": 3} | options
        return ImageTextData(tokenizer_folder, list(train), **options)

    return build
