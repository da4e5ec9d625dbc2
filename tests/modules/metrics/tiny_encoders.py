"""Encoders and classifiers of a few thousand random weights, saved as folders."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaModel,
    T5Config,
    T5Model,
)

WORDS = "the cat dog sat ran on mat hill red blue a big small and saw moon".split()
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "initializer_range": 0.5,
}


def word_tokenizer(folder: Path, max_length: int | None = None) -> int:
    """A tokenizer of whole words with [CLS] and [SEP] around them; the size of its vocabulary."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocab = {word: number for number, word in enumerate([*special, *WORDS])}
    core = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    options = {} if max_length is None else {"model_max_length": max_length}
    PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        **options,
    ).save_pretrained(folder)
    return len(vocab)


def byte_tokenizer(folder: Path) -> int:
    """A byte-level tokenizer with RoBERTa's marks; the size of its vocabulary."""
    special = ["<s>", "<pad>", "</s>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate([*special, *alphabet])}
    core = Tokenizer(models.BPE(vocab, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
    ).save_pretrained(folder)
    return len(vocab)


def save_bert(folder: Path, positions: int = 64, num_labels: int = 0) -> str:
    """A BERT; with labels, a classifier."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=word_tokenizer(folder),
        max_position_embeddings=positions,
        num_labels=num_labels or 2,
        **SMALL,
    )
    kind = BertForSequenceClassification if num_labels else BertModel
    kind(config).save_pretrained(folder)
    return str(folder)


def save_roberta(folder: Path, positions: int = 64, num_labels: int = 0) -> str:
    """A RoBERTa, whose positions begin behind that of the padding; with labels, a classifier."""
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=byte_tokenizer(folder),
        max_position_embeddings=positions,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        num_labels=num_labels or 2,
        **SMALL,
    )
    kind = RobertaForSequenceClassification if num_labels else RobertaModel
    kind(config).save_pretrained(folder)
    return str(folder)


def save_t5(folder: Path) -> str:
    """An encoder-decoder without a bound on positions."""
    torch.manual_seed(0)
    size = word_tokenizer(folder)
    config = T5Config(
        vocab_size=size, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, pad_token_id=0
    )
    T5Model(config).save_pretrained(folder)
    return str(folder)
