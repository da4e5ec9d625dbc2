"""Trains a byte-level BPE tokenizer."""

from collections.abc import Iterator
from pathlib import Path

END = "<|endoftext|>"
"""Starts and ends a document."""


def train_tokenizer(documents: Iterator[str], vocab_size: int, folder: Path) -> str:
    """Train byte-level BPE and save it as a Hugging Face tokenizer folder.

    Every text can be encoded and comes back the same, since all 256 bytes are tokens.

    Args:
        documents: Texts.
        vocab_size: Number of ids; at least 257.
        folder: Where to write.

    Returns:
        One line: size, documents, bytes per token on the last thousand documents.

    Raises:
        ValueError: Too small a vocabulary, or no text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if vocab_size < 257:
        raise ValueError(f"vocab_size must hold 256 bytes and the end of text, got {vocab_size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    probe = Tail()
    tokenizer.train_from_iterator(probe.watch(documents), trainer)
    if not probe.count:
        raise ValueError("no text to train a tokenizer from")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, clean_up_tokenization_spaces=False
    ).save_pretrained(folder)
    num_bytes = sum(len(text.encode()) for text in probe.last)
    num_tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(probe.last))
    return (
        f"{tokenizer.get_vocab_size()} tokens from {probe.count} documents, "
        f"{num_bytes / num_tokens:.2f} bytes a token: {folder}"
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
