"""A source of text, tokenised once and kept."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from datamodules.census import Census
from datamodules.documents import Document
from datamodules.sources import TextSource
from datamodules.token_file import FORMAT, Meta, TokenFile, cached_token_file, write_token_file
from datamodules.tokenizer import TextTokenizer

PATIENCE = 2.0
"""Seconds of work after which a progress bar appears."""


def tokenised(
    source: TextSource, tokenizer: TextTokenizer, cache: Path, max_bad_rate: float
) -> TokenFile:
    """The token file of a source; made on first use.

    Args:
        source: Where the documents come from.
        tokenizer: What turns them into ids; each document becomes start, tokens, eos.
        cache: Folder that holds all token files.
        max_bad_rate: Highest share of bad documents, in [0, 1].

    Returns:
        The file. Its `meta.json` lists the bad documents under `census`.

    Raises:
        ValueError: Too many documents are bad, or there is none.
    """
    identity = [FORMAT, source.fingerprint(), tokenizer.fingerprint, tokenizer.start, tokenizer.eos]
    folder = cache / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    census = Census()

    def describe() -> Meta:
        packages = ("tokenizers", "transformers", "numpy")
        return {
            "source": source.name,
            "source_fingerprint": source.fingerprint(),
            "tokenizer": tokenizer.name,
            "tokenizer_fingerprint": tokenizer.fingerprint,
            "census": census.as_dict(),
            "versions": {package: version(package) for package in packages},
        }

    def write(place: Path) -> TokenFile:
        documents = tokenizer.encode_documents(source.documents())
        good = progress(census.sift(documents, max_bad_rate, source.name), source.name)
        return write_token_file(place, good, tokenizer.vocab_size, describe)

    file = cached_token_file(folder, write)
    if not census.good:  # it was there: the limit may have been another when it was made
        Census(**file.meta["census"]).check(max_bad_rate, source.name)  # type: ignore[arg-type]
    return file


def progress(
    documents: Iterable[tuple[list[int], int]], name: str
) -> Iterator[tuple[list[int], int]]:
    """Pass documents on and show a bar on stderr if that takes long."""
    from tqdm import tqdm

    yield from tqdm(documents, f"tokenising {name}", unit=" documents", delay=PATIENCE)


def origin(source: TextSource, document: int) -> str:
    """Where a good document stands, by its number in the token file."""
    good = (found for found in source.documents() if isinstance(found, Document))
    return next(islice(good, document, None)).origin
