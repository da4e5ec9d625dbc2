import pytest
import torch

from datamodules.records import roots
from datamodules.text.tokenizer import load_tokenizer
from modules.causal_lm.network import Pretrained
from modules.lmfusion.generation.decode_latents import Pixels
from modules.weights import origin
from tests.fixtures.runs import refused, write_config

LOCAL = ["exported/none", "assets/none", "runs/a", "models/none", "./none", "~/none", "/none"]
LOCAL += ["a/b/c", "tests/none", "data/none"]
HUB = ["gpt2", "meta-llama/Llama-3.2-1B", "roberta-base", "none"]


@pytest.mark.parametrize("wall", [origin, roots], ids=["modules", "datamodules"])
def test_what_can_only_be_a_path_never_goes_to_the_hub(wall, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in LOCAL:
        with pytest.raises(FileNotFoundError, match=name):
            wall.located(name)
    assert [wall.located(name) for name in HUB] == HUB
    (tmp_path / "none").mkdir()
    assert wall.located("none") == "none"
    path = wall.located("assets/captions_bpe")  # started from another folder
    assert path == str(wall.HERE / "assets" / "captions_bpe")
    (tmp_path / "assets" / "captions_bpe").mkdir(parents=True)
    assert wall.located("assets/captions_bpe") == "assets/captions_bpe"


def test_the_command_that_makes_a_folder_is_told():
    with pytest.raises(FileNotFoundError, match=r"cli\.py tokenizer .*--folder exported/none"):
        load_tokenizer("exported/none")
    with pytest.raises(FileNotFoundError, match=r"cli\.py export .*--folder exported/none"):
        Pretrained(10, "exported/none")
    with pytest.raises(FileNotFoundError, match="no AutoencoderKL folder exported/none"):
        _ = Pixels("exported/none").model
    with pytest.raises(ValueError, match=r"no tokenizer my_bpe: .*--folder my_bpe\), and the hub"):
        load_tokenizer("my_bpe")


def test_of_a_published_model_that_is_missing_the_folder_is_told_and_no_command(monkeypatch):
    monkeypatch.setenv("TRAINER_MODELS", "/none/models")
    readers = (load_tokenizer, origin.read_tokenizer, lambda name: Pretrained(10, name))
    for read in readers:
        with pytest.raises(FileNotFoundError, match="/none/models/llama") as raised:
            read("/none/models/llama")
        assert "TRAINER_MODELS" in str(raised.value)
        assert "cli.py" not in str(raised.value)
        with pytest.raises(ValueError, match=r"no (model|tokenizer) nobody/llama: ") as raised:
            read("nobody/llama")
        assert "cli.py" not in str(raised.value)


def test_a_folder_that_holds_something_else_is_told_with_the_librarys_reason(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"no (model|tokenizer) could be .* from {tmp_path}: \S"):
        Pretrained(10, str(tmp_path))
    with pytest.raises(ValueError, match=rf"no tokenizer could be .* folder {tmp_path}: \S"):
        load_tokenizer(str(tmp_path))


def test_parameters_know_their_source_and_copies_do_not(tmp_path):
    from copy import deepcopy

    from transformers import AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM

    options = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 9}
    config = LlamaConfig(**options, num_attention_heads=2, pad_token_id=0)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    model = origin.read_model(AutoModelForSequenceClassification, str(tmp_path), num_labels=2)
    drawn = [n for n, p in model.named_parameters() if origin.source_of(p) is None]
    assert drawn == ["score.weight"]  # the source has no such head
    assert origin.source_of(model.model.norm.weight) == str(tmp_path)
    assert origin.source_of(deepcopy(model).model.norm.weight) is None
    assert origin.source_of(torch.nn.Parameter(torch.ones(1))) is None


def test_adapters_on_a_pretrained_model_are_untrained(tmp_path, text_file, tokenizer_folder):
    """Adapters at zero give the base model, which must be asked for explicitly."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from cli import main
    from tests.fixtures.runs import OPTIONS

    LlamaForCausalLM(LlamaConfig(**OPTIONS, vocab_size=300)).save_pretrained(tmp_path / "base")
    config = write_config(tmp_path, text_file, tokenizer_folder)
    network = "{class_path: modules.causal_lm.network.Pretrained, init_args: {source: BASE, LORA}}"
    network = network.replace("BASE", str(tmp_path / "base"))
    args = ["validate", f"--config={config}", "--trainer.limit_val_batches=1"]
    main([*args, f"--model.init_args.network={network.replace(', LORA', '')}"])
    adapted = network.replace("LORA", "lora: {rank: 2}")
    with refused(r"no --ckpt_path: \d+ trainable tensors are untrained \(.*lora_A"):
        main([*args, f"--model.init_args.network={adapted}"])
