"""A tokenizer from a folder or the hub, and the tokenisation of documents."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.records.document import BadSample, Document
from datamodules.records.faults import attempt
from datamodules.records.roots import is_published, located
from datamodules.text.token_file import Encoded

if TYPE_CHECKING:  # the import takes seconds
    from transformers import PreTrainedTokenizerBase

MADE_BY = "python cli.py tokenizer --config CONFIG --folder {name}"
"""The command that trains a tokenizer on a config's texts."""
CHUNK_DOCUMENTS = 1000
"""Maximum number of documents that are tokenised together."""
CHUNK_CHARACTERS = 1_000_000
"""Characters after which a chunk ends; bounds the memory."""


@dataclass
class TextTokenizer:
    """Turns text into ids; knows the ids that mark the ends of a document.

    Attributes:
        name: Folder or name on the hub.
        start: Id before every document: the tokenizer's bos, or cls, or else its eos.
        eos: Id after every document: the tokenizer's eos, or sep, or else its bos.
        pad: Id for padding: the tokenizer's own, or else its eos.
        vocab_size: One more than the highest id.
        fingerprint: Changes whenever the ids of a text may have changed.
    """

    name: str
    start: int
    eos: int
    pad: int
    vocab_size: int
    fingerprint: str
    backend: "PreTrainedTokenizerBase" = field(repr=False)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, without special ids."""
        quiet = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
        return self.backend(texts, add_special_tokens=False, **quiet)["input_ids"]

    def begun(self, prompts: list[str]) -> list[list[int]]:
        """Ids of prompts: start, not repeated if the text has it already, and text."""
        found = []
        for ids in self.encode(prompts):
            num = next((n for n, one in enumerate(ids) if one != self.start), len(ids))
            found.append([self.start, *ids[num:]])
        return found

    def encode_documents(
        self, documents: Iterable[Document | BadSample]
    ) -> Iterator[Encoded | BadSample]:
        """Ids with start and eos, and size in bytes, of each document.

        A document that the tokenizer cannot take becomes a `BadSample`; bad samples pass unchanged.
        """
        for chunk in _chunks(documents):
            good = [one for one in chunk if isinstance(one, Document)]
            made = iter(self._encoded(good))
            for one in chunk:
                yield one if isinstance(one, BadSample) else next(made)

    def _encoded(self, chunk: list[Document]) -> list[Encoded | BadSample]:
        """The documents of a chunk; one by one if they cannot be tokenised together."""
        if not chunk:
            return []
        rows = attempt("", self.encode, [one.text for one in chunk])
        if not isinstance(rows, BadSample):
            return [self._marked(ids, one) for one, ids in zip(chunk, rows, strict=True)]
        return [attempt(one.origin, self._alone, one) for one in chunk]

    def _alone(self, document: Document) -> Encoded:
        [ids] = self.encode([document.text])
        return self._marked(ids, document)

    def _marked(self, ids: list[int], document: Document) -> Encoded:
        """Start and eos are not repeated if the text has them already."""
        before = [] if ids[:1] == [self.start] else [self.start]
        behind = [] if ids[-1:] == [self.eos] and len(before) + len(ids) > 1 else [self.eos]
        return Encoded([*before, *ids, *behind], document.size)


def load_tokenizer(name: str, control_tokens: bool = True) -> TextTokenizer:
    """Load a tokenizer.

    Args:
        name: Folder or name on the hub.
        control_tokens: Whether the name of a control token in a text, such as `<|endoftext|>`,
            is read as that token; otherwise as plain characters.

    Returns:
        The tokenizer with its special ids.

    Raises:
        FileNotFoundError: `name` looks like a folder, but is none.
        ValueError: There is no tokenizer of that name, or it has neither bos nor eos.
    """
    place = located(name, MADE_BY)
    from transformers import AutoTokenizer

    try:
        backend = AutoTokenizer.from_pretrained(place, split_special_tokens=not control_tokens)
    except Exception as error:  # tokenizers raises bare exceptions, the hub its own types
        raise ValueError(why_none(name, place, error)) from error
    ends = (backend.eos_token_id, backend.sep_token_id, backend.bos_token_id)
    eos = next((one for one in ends if one is not None), None)
    if eos is None:
        raise ValueError(
            f"the tokenizer in {name} has neither a bos nor an eos token; one is needed to mark "
            "where a document begins and ends. Name one in its tokenizer_config.json."
        )
    starts = (backend.bos_token_id, backend.cls_token_id, eos)
    start = next(one for one in starts if one is not None)
    pad = eos if backend.pad_token_id is None else backend.pad_token_id
    vocab_size = 1 + max(backend.get_vocab().values())
    return TextTokenizer(name, start, eos, pad, vocab_size, _fingerprint(backend), backend)


def why_none(name: str, place: str, error: Exception) -> str:
    """Why no tokenizer could be loaded from a folder or a name."""
    if Path(place).exists():
        told = " ".join(str(error).split())
        return f"no tokenizer could be loaded from the folder {name}: {told}"
    made = "" if is_published(name) else f" (made by: {MADE_BY.format(name=name)})"
    return f"no tokenizer {name}: no such folder is here{made}, and the hub gave none"


def _fingerprint(backend: "PreTrainedTokenizerBase") -> str:
    """Hash of everything that determines the ids."""
    if backend.is_fast:
        rules = backend.backend_tokenizer.to_str()
    else:
        options = {k: str(v) for k, v in backend.init_kwargs.items() if k != "name_or_path"}
        rules = f"{sorted(backend.get_vocab().items())} {sorted(options.items())}"
    told = f"{type(backend).__name__} {rules} {backend.split_special_tokens}"
    return hashlib.sha256(told.encode(errors="backslashreplace")).hexdigest()


def _chunks(documents: Iterable[Document | BadSample]) -> Iterator[list[Document | BadSample]]:
    """The documents in order, in chunks of limited size."""
    chunk: list[Document | BadSample] = []
    size = 0
    for document in documents:
        chunk.append(document)
        size += len(document.text) if isinstance(document, Document) else 0
        if len(chunk) == CHUNK_DOCUMENTS or size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
