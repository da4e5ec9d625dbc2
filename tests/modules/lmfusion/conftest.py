import pytest

from tests.fixtures.lmfusion_small_run import (
    write_config,
    write_llama,
)


@pytest.fixture
def llama(tmp_path):
    return write_llama(tmp_path / "llama")


@pytest.fixture
def config(tmp_path, llama, tokenizer_folder):
    return write_config(tmp_path, llama, tokenizer_folder)
