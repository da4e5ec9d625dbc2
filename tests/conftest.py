import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # no test needs the network
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes of two threads would fight

import pytest

TEXTS = [
    "The cat sat on the mat and looked at the moon.",
    "A dog ran over the hill, and the cat saw it run.",
    "Rain fell on the old house; nobody was at home.",
] * 40


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    """A byte-level BPE of 300 tokens."""
    from engine.commands.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(iter(TEXTS), 300, folder)
    return folder


@pytest.fixture(scope="session")
def text_file(tmp_path_factory) -> Path:
    """120 short documents, one a line."""
    path = tmp_path_factory.mktemp("text") / "texts.txt"
    path.write_text("\n".join(TEXTS))
    return path
