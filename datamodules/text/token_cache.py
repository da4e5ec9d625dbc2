"""Token cache: a source of text is tokenised once."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Protocol

from datamodules.records.document import BadSample, Document
from datamodules.records.row_tally import RowTally
from datamodules.text.files import TextSource
from datamodules.text.token_file import (
    FORMAT,
    Encoded,
    Meta,
    TokenFile,
    cached_token_file,
    write_token_file,
)
from engine.disk.bar import watched


class Encoder(Protocol):
    """Turns documents into ids."""

    @property
    def name(self) -> str:
        """Folder or name on the hub."""

    @property
    def start(self) -> int:
        """Id before a document."""

    @property
    def eos(self) -> int:
        """Id after a document."""

    @property
    def vocab_size(self) -> int:
        """One more than the highest id."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the ids of a document may have changed."""

    def encode_documents(
        self, documents: Iterable[Document | BadSample]
    ) -> Iterator[Encoded | BadSample]:
        """Each document as ids; unusable ones come as a `BadSample`."""


def tokenised(
    source: TextSource, tokenizer: Encoder, cache: Path, max_bad_rate: float
) -> TokenFile:
    """The token file of a source, written on first use.

    Args:
        source: Source of the documents.
        tokenizer: Turns them into ids; a plain text becomes start, tokens, eos.
        cache: Folder of all token files.
        max_bad_rate: Highest share of bad documents, in [0, 1].

    Returns:
        The file. Its `meta.json` lists the bad documents under `census`.

    Raises:
        ValueError: Too many documents are bad, or no document is good.
    """
    identity = [FORMAT, source.fingerprint(), tokenizer.fingerprint, tokenizer.start, tokenizer.eos]
    identity.append(version("tokenizers"))
    folder = cache / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    census = RowTally()

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
        sound = census.sift(documents, max_bad_rate, source.name)
        good = watched(sound, " documents", f"tokenising {source.name}")
        return write_token_file(place, good, tokenizer.vocab_size, describe)

    file = cached_token_file(folder, write)
    if not census.good:  # an existing file may have been written under another limit
        RowTally(**file.meta["census"]).check(max_bad_rate, source.name)  # type: ignore[arg-type]
    return file


def origin(source: TextSource, document: int) -> str:
    """Origin of a good document by its index in the token file."""
    good = (found for found in source.documents() if isinstance(found, Document))
    return next(islice(good, document, None)).origin
