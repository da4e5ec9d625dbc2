"""Small data and models under the names that the configs of detectors use."""

from pathlib import Path

from tests.datamodules.machine_texts import made_up, write

GENERATORS = ("gpt2-xl", "gpt-neo-2.7B", "opt-2.7b", "gpt-j-6B")
SHORT = [
    "--data.init_args.train.budget=40",
    "--data.init_args.batch_size=4",
    "--data.init_args.eval_batch_size=4",
    "--data.init_args.max_length=48",
    "--data.init_args.num_workers=0",
]
"""Flags that make three steps of a config of an encoder cheap."""


def write_detector_stand_ins(data: Path, models: Path, tokenizer_folder: Path) -> None:
    """Made-up texts of the four generators, and untrained models."""
    from transformers import (
        AutoTokenizer,
        LlamaConfig,
        LlamaForCausalLM,
        RobertaConfig,
        RobertaForSequenceClassification,
        RobertaModel,
    )

    (data / "machine_text").mkdir(parents=True, exist_ok=True)
    rows = made_up(num=25, generators=GENERATORS, domains=("xsum", "squad"))
    write(rows, data / "machine_text" / "machine_text.parquet")
    write_articles(data / "article_bias")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 2, "vocab_size": 300}
    roberta = RobertaConfig(**sizes, max_position_embeddings=66, pad_token_id=1)
    names = {"id2label": {0: "Fake", 1: "Real"}, "label2id": {"Fake": 0, "Real": 1}}
    published = RobertaConfig(**sizes, **names, max_position_embeddings=66, pad_token_id=1)
    untrained = {
        "roberta-base": RobertaModel(roberta),
        "roberta-base-openai-detector": RobertaForSequenceClassification(published),
        "stories260K": LlamaForCausalLM(LlamaConfig(**sizes, max_position_embeddings=512)),
    }
    for name, model in untrained.items():
        model.save_pretrained(models / name)
        AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(models / name)


def write_articles(folder: Path) -> None:
    """Articles of three leanings, and one of each to validate on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    for name, num in (("train", 24), ("val", 6)):
        columns = {
            "text": [f"{name} number {row} saw the old house under the moon" for row in range(num)],
            "label": [row % 3 for row in range(num)],
            "topic": [("taxes", "schools")[row % 2] for row in range(num)],
        }
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
