import json

import pytest
from jsonargparse import Namespace

from engine.estimate.stand_ins import KNOWN, found_shape, stand_in, write_stand_in
from tests.fixtures.runs import refused


def of(source, tokenizer):
    network = Namespace(init_args=Namespace(source=source))
    return Namespace(model=Namespace(init_args=Namespace(network=network, tokenizer=tokenizer)))


def test_a_shape_of_the_users_comes_before_ours(tmp_path):
    own = tmp_path / "roberta-base" / "config.json"
    own.parent.mkdir()
    own.write_text("{}")
    assert found_shape("roberta-base", [str(tmp_path)]) == own
    assert found_shape("roberta-base", []) == KNOWN / "roberta-base" / "config.json"
    assert found_shape("nobody", []) is None


def test_a_stand_in_has_as_many_tokens_as_the_model(tmp_path):
    from transformers import AutoConfig, AutoTokenizer

    shape = json.loads((KNOWN / "opt-6.7b" / "config.json").read_text())
    write_stand_in(shape, tmp_path / "opt")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "opt")
    assert len(tokenizer) == 50_265
    assert tokenizer.pad_token_id == 1
    assert AutoConfig.from_pretrained(tmp_path / "opt").ffn_dim == 16_384


def test_what_is_not_here_is_replaced_and_what_is_here_stays(tmp_path):
    config = of("models/opt-6.7b", "assets/stories_bpe")
    [line] = stand_in(config, [], tmp_path)
    assert "models/opt-6.7b is not here" in line
    assert config.model.init_args.network.init_args.source == str(tmp_path / "opt-6.7b")
    assert config.model.init_args.tokenizer == "assets/stories_bpe"


@pytest.mark.parametrize("name", ["source", "tokenizer"])
def test_a_shape_that_nobody_knows_is_asked_for(name, tmp_path):
    known = {"source": "models/opt-6.7b", "tokenizer": "assets/stories_bpe"}
    config = of(**known | {name: "models/nobodys"})
    with refused(f"{name}: models/nobodys is not here.*nobodys/config.json.*--shapes"):
        stand_in(config, [], tmp_path)
