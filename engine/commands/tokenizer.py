"""Trains a tokenizer: BPE of the bytes of texts or of an alphabet of its own, or whole words."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Protocol, runtime_checkable

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from engine.config.origins import refuse_remote

END = "<|endoftext|>"
"""Starts and ends a document."""
MARKS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
"""Special tokens of a tokenizer of words; their ids are 0 to 3."""


@runtime_checkable
class Texts(Protocol):
    """Data from which a tokenizer can be trained."""

    def training_documents(self) -> Iterator[str]:
        """The training texts, one after another."""


class TrainTokenizer:
    """Trains a tokenizer from the data of a config: byte-level BPE, or whole words."""

    summary = "train a tokenizer from the texts of a config"

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        folder: str,
        vocab_size: int = 4096,
        num_documents: int | None = None,
        words: bool = False,
        digits: bool = False,
        ckpt_path: str | None = None,
    ) -> None:
        """Train a tokenizer from the data of a config: byte-level BPE, or whole words.

        Args:
            trainer: Of the config.
            model: Not used.
            datamodule: The data.
            folder: Where to write the tokenizer.
            vocab_size: Number of token ids, the 256 bytes and the end of text among them; of words,
                at most.
            num_documents: How many documents are read, the first ones; all where None.
            words: Whether the tokens are whole words and punctuation marks, the most frequent ones,
                as for synthetic texts of few words; others become the unknown token.
            digits: Whether every digit is a token of its own, as for texts with numbers; only for
                bytes.
            ckpt_path: Not used.

        Raises:
            TypeError: The data are no texts.
            ValueError: `num_documents` is below 1.
        """
        if num_documents is not None and num_documents < 1:
            raise ValueError(f"num_documents must be at least 1, got {num_documents}")
        if not isinstance(datamodule, Texts):
            raise TypeError(f"{type(datamodule).__name__} has no texts to train a tokenizer from")
        refuse_remote(folder, "folder")
        trainer.state.fn = TrainerFn.FITTING
        texts = reported(islice(datamodule.training_documents(), num_documents))
        if words:
            print(train_word_tokenizer(texts, vocab_size, Path(folder)))
            return
        alphabet = getattr(datamodule, "alphabet", None)
        print(train_tokenizer(texts, vocab_size, Path(folder), alphabet, digits))


def train_tokenizer(
    documents: Iterator[str],
    vocab_size: int,
    folder: Path,
    alphabet: Sequence[str] | None = None,
    digits: bool = False,
) -> str:
    """Train BPE and save it as a Hugging Face tokenizer folder.

    Every text can be encoded and comes back the same, since all 256 bytes are tokens.

    Args:
        documents: Texts.
        vocab_size: Number of ids; at least one more than there are bytes or characters.
        folder: Where to write.
        alphabet: Characters of texts that are no language, such as spelt files: all of them become
            tokens, and words may have any length. None takes the bytes of UTF-8, and words.
        digits: Whether every digit is a token of its own, with the blank before it; not where an
            alphabet is given.

    Returns:
        One line: size, documents, bytes (or characters) per token on the last thousand documents.

    Raises:
        ValueError: Too small a vocabulary, or no text.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    characters = pre_tokenizers.ByteLevel.alphabet() if alphabet is None else list(alphabet)
    if vocab_size < len(characters) + 1:
        raise ValueError(
            f"vocab_size must hold {len(characters)} bytes and the end of text, got {vocab_size}"
        )
    tokenizer = Tokenizer(models.BPE())
    if alphabet is None:
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        apart = pre_tokenizers.Split(Regex(" ?[0-9]"), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([apart, words]) if digits else words
        tokenizer.decoder = decoders.ByteLevel()
    else:
        tokenizer.decoder = decoders.Fuse()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[END], initial_alphabet=characters
    )
    probe = Tail()
    tokenizer.train_from_iterator(probe.watch(documents), trainer)
    if not probe.count:
        raise ValueError("no text to train a tokenizer from")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, clean_up_tokenization_spaces=False
    ).save_pretrained(folder)
    num_bytes = sum(len(text.encode() if alphabet is None else text) for text in probe.last)
    num_tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(probe.last))
    return (
        f"{tokenizer.get_vocab_size()} tokens from {probe.count} documents, "
        f"{num_bytes / num_tokens:.2f} bytes a token: {folder}"
    )


def train_word_tokenizer(documents: Iterator[str], vocab_size: int, folder: Path) -> str:
    """Collect the most frequent words and save them as a Hugging Face tokenizer folder.

    A text whose words are all known comes back the same if it has single spaces, and none before a
    punctuation mark.

    Args:
        documents: Texts.
        vocab_size: Number of ids, at most; at least one more than there are special tokens.
        folder: Where to write.

    Returns:
        One line: size, documents, words that have no token.

    Raises:
        ValueError: Too small a vocabulary, or no text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if vocab_size <= len(MARKS):
        raise ValueError(f"vocab_size must be more than {len(MARKS)}, got {vocab_size}")
    tokenizer = Tokenizer(models.WordLevel(unk_token=MARKS["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(cleanup=True)  # no space before a mark
    trainer = trainers.WordLevelTrainer(vocab_size=vocab_size, special_tokens=[*MARKS.values()])
    probe = Tail()
    tokenizer.train_from_iterator(probe.watch(documents), trainer)
    if not probe.count:
        raise ValueError("no text to train a tokenizer from")
    encodings = tokenizer.encode_batch(probe.last)
    num_unknown = sum(one.tokens.count(MARKS["unk_token"]) for one in encodings)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **MARKS, clean_up_tokenization_spaces=False
    ).save_pretrained(folder)
    return (
        f"{tokenizer.get_vocab_size()} words from {probe.count} documents, {num_unknown} unknown "
        f"in the last {len(probe.last)}: {folder}"
    )


class Tail:
    """Counts what passes and keeps the last thousand."""

    def __init__(self) -> None:
        self.count = 0
        self.last: list[str] = []

    def watch(self, documents: Iterator[str]) -> Iterator[str]:
        """Pass documents on."""
        for document in documents:
            self.count += 1
            self.last.append(document)
            del self.last[:-1000]
            yield document


def reported(texts: Iterator[str], seconds: float = 30.0) -> Iterator[str]:
    """Pass texts on; print how many there were, every `seconds`."""
    last = monotonic()
    for count, text in enumerate(texts, 1):
        yield text
        if monotonic() - last > seconds:
            last = monotonic()
            print(f"{count:,} texts read", flush=True)
