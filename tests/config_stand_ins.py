"""Small data and models under the names of the configs that train, and what makes a run short."""

from pathlib import Path

from omegaconf import OmegaConf

from tests.codec_stand_ins import shortened_files, write_codec_stand_ins
from tests.conftest import TEXTS
from tests.fusion_stand_ins import shortened, write_fusion_stand_ins
from tests.vq_stand_ins import shortened_pictures, untrained

CONFIGS = Path(__file__).parent.parent / "configs"
SHARED = {"strategy", "sweep"}
ELSEWHERE = {"decoding", "detector"}
"""Folders whose configs are run in the tests of their rooms, each by the commands it is for."""
RUNS = sorted(p for p in CONFIGS.glob("*/*.yaml") if p.parent.name not in SHARED | ELSEWHERE)
SPLIT = "--data.init_args.long_documents=split"
"""Stand-ins are longer than what the rows are made for."""


def write_stand_ins(root: Path, tokenizer_folder: Path) -> None:
    """Fill `data` and `models` below a folder."""
    import pyarrow
    import pyarrow.parquet
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    books = root / "data" / "books"
    books.mkdir(parents=True)
    for split in ("train", "val", "test"):
        table = pyarrow.table({"text": [" ".join(TEXTS)] * 20})
        pyarrow.parquet.write_table(table, books / f"{split}.parquet")
    (root / "data" / "tinyshakespeare").mkdir()
    (root / "data" / "tinyshakespeare" / "input.txt").write_text("\n".join(TEXTS * 30))
    tasks = root / "data" / "instructions"
    tasks.mkdir()
    asked = [f"{text} ({number})" for number in range(8) for text in TEXTS[:5]]
    numbers = [str(number) for number in range(40)]
    texts = {"instruction": asked, "input": [""] * 40, "output": TEXTS[:5] * 8}
    columns = {"id": numbers, **texts}
    for name in ("seed_tasks", "user_oriented"):
        pyarrow.parquet.write_table(pyarrow.table(columns), tasks / f"{name}.parquet")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = LlamaConfig(vocab_size=300, num_attention_heads=4, **sizes)
    for name in ("stories260K", "Meta-Llama-3-8B"):
        folder = root / "models" / name
        LlamaForCausalLM(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    write_fusion_stand_ins(root / "data", root / "models", tokenizer_folder)
    write_codec_stand_ins(root / "data")


def own_precision(config: Path) -> str:
    """The precision that a config is shipped for; `debug.yaml` has its own."""
    layers = [OmegaConf.load(path) for path in (CONFIGS / "base.yaml", config)]
    return str(OmegaConf.merge(*layers).trainer.precision)


def shortened_run(config: Path, folder: Path, cache: str) -> list[str]:
    """Flags that make a run of a config cheap, by the system it is of."""
    room = config.parent.name
    if room == "causal_lm":
        return [cache]
    if room == "lmfusion":
        return shortened(config, folder)
    if room == "vq":
        return shortened_pictures(config, folder)
    files = [cache, *shortened_files(config, folder)]
    return [*files, *(untrained(config, folder) if room == "jpeg_lm" else [SPLIT])]
