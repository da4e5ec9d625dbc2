"""Models as a config names them."""

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from modules.decoding.pretrained import Pretrained
from tests.fixtures.decoding import tiny


@pytest.mark.parametrize("kind", ["gemma2", "bloom", "llama"])
def test_what_transformers_loads_by_itself_is_loaded_with_its_own_choice(
    kind, tokenizer_folder, tmp_path
):
    tiny(kind).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(tmp_path)
    wanted = AutoModelForCausalLM.from_pretrained(tmp_path).config._attn_implementation
    model, _ = Pretrained(str(tmp_path)).load()
    assert model.config._attn_implementation == wanted
    eager, _ = Pretrained(str(tmp_path), attention="eager").load()
    assert eager.config._attn_implementation == "eager"


@pytest.mark.parametrize("path", ["./nowhere", "exported/nowhere", "runs/a/b/c"])
def test_a_folder_that_is_not_there_is_told_before_the_hub_is_asked(path):
    with pytest.raises(FileNotFoundError, match=f"no model folder {path}"):
        Pretrained(path).load()
