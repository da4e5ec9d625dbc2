"""Files from a tiny untrained language model."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from engine.commands.tokenizer import train_tokenizer
from modules.causal_lm.generate import Generation
from modules.causal_lm.network import FromConfig
from modules.codec_lm.generate import LegalTokens, likelihood
from modules.codec_lm.jpeg.codec import JpegCodec
from modules.codec_lm.system import CodecLM
from tests.modules.codec_lm.jpeg.test_grammar import SETTINGS, image

CODEC = JpegCodec(16, 16, sampling="grey", keep_header=False)
OPTIONS = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


@pytest.fixture(scope="module")
def tokenizer_of_files(tmp_path_factory):
    rng = np.random.default_rng(0)
    texts = [CODEC.text(image(CODEC, rng)) for _ in range(40)]
    folder = tmp_path_factory.mktemp("files_bpe")
    summary = train_tokenizer(iter(texts), 280, folder, CODEC.alphabet)
    assert summary.startswith("280 tokens from 40 documents")
    return str(folder)


@pytest.fixture
def system(tokenizer_of_files):
    torch.manual_seed(0)
    system = CodecLM(
        partial(FromConfig, model_type="llama", options=OPTIONS),
        tokenizer_of_files,
        CODEC,
        generation=Generation(max_new_tokens=120, temperature=1.0, top_k=None),
    )
    system.configure_model()
    return system.eval()


def prompts(system, texts):
    end = system.tokenizer.eos_token_id
    ids = [[end, *system.tokenizer.encode(text, add_special_tokens=False)] for text in texts]
    longest = max(map(len, ids))
    token = torch.tensor([[end] * (longest - len(row)) + row for row in ids])
    mask = torch.tensor([[False] * (longest - len(row)) + [True] * len(row) for row in ids])
    return {"token_BL": token, "mask_BL": mask, "prompt": [f"file {n}" for n in range(len(ids))]}


def test_tokens_of_files_come_back_the_same(system):
    text = CODEC.text(image(CODEC, np.random.default_rng(1)))
    ids = system.tokenizer.encode(text, add_special_tokens=False)
    assert system.tokenizer.decode(ids) == text
    assert len(ids) < len(text)


def test_every_file_of_an_untrained_model_opens(system):
    shown = image(CODEC, np.random.default_rng(2))
    texts = ["", CODEC.prefix(shown, 0.25), CODEC.prefix(shown, 0.75), ""]
    for record in system.predict_step(prompts(system, texts), 0):
        assert record["has_end"]
        assert record["decoder_error"] is None
        assert record["opens"]
        assert record["written"] <= 120
        assert record["jpg"].startswith(b"\xff\xd8")
        assert record["continuation"].shape == (16, 16, 3)


def test_a_finished_file_keeps_its_beginning(system):
    shown = np.kron(np.eye(2, dtype=np.uint8) * 200, np.ones((8, 8), np.uint8))
    (record,) = system.predict_step(prompts(system, [CODEC.prefix(shown, 0.5)]), 0)
    wanted = torch.tensor(CODEC.decode(CODEC.encode(shown)))
    assert torch.equal(record["continuation"][:8, :, 0], wanted[:8])


def test_without_the_grammar_files_of_an_untrained_model_are_broken(system):
    system.constrained = False
    records = system.predict_step(prompts(system, [""] * 8), 0)
    assert any(record["decoder_error"] is not None for record in records)
    assert all(record["continuation"].shape == (16, 16, 3) for record in records)


def test_a_file_that_does_not_open_is_recorded_as_such_and_grey(system, monkeypatch):
    monkeypatch.setattr(JpegCodec, "file", lambda self, sequence: b"no file")
    for record in system.predict_step(prompts(system, ["", ""]), 0):
        assert not record["opens"]
        assert (record["continuation"] == 128).all()


def test_the_likelihood_is_that_of_one_file_after_the_other(system):
    batch = prompts(system, ["", CODEC.prefix(np.full((16, 16), 90, np.uint8), 0.5)])
    token_BN = system.write(batch["token_BL"], batch["mask_BL"])
    length, end = batch["token_BL"].shape[1], system.rules.end
    nats_B = likelihood(system.language_model, token_BN, batch["mask_BL"], end)
    for row, is_real, nats in zip(token_BN, batch["mask_BL"], nats_B, strict=True):
        given, written = row[:length][is_real].tolist(), row[length:].tolist()
        written = written[: written.index(end) + 1]
        alone = torch.tensor([given + written])
        with torch.no_grad(), system.language_model.generating() as model:
            score = model(input_ids=alone).logits[0].log_softmax(-1)
        wanted = -sum(score[len(given) - 1 + n, token] for n, token in enumerate(written))
        torch.testing.assert_close(nats, wanted, rtol=1e-4, atol=1e-3)


def test_a_budget_that_is_too_small_is_refused_with_both_numbers(system):
    batch = prompts(system, [""])
    with pytest.raises(ValueError, match=r"max_new_tokens is 3, but a file may need \d+ more"):
        LegalTokens(system.rules, batch["token_BL"], batch["mask_BL"], 3)


def test_behind_a_long_beginning_a_file_ends_within_the_context(system):
    shown = np.random.default_rng(5).integers(0, 256, (16, 16), dtype=np.uint8)
    system.generation = Generation(max_new_tokens=250, temperature=1.0, top_k=None)
    (record,) = system.predict_step(prompts(system, [CODEC.prefix(shown, 0.5)]), 0)
    context = OPTIONS["max_position_embeddings"]
    assert 1 + record["given"] + 250 > context >= 1 + record["given"] + record["written"]
    assert record["decoder_error"] is None


def test_a_beginning_that_is_none_is_refused(system):
    end = system.rules.end
    with pytest.raises(ValueError, match="not legal"):
        LegalTokens(system.rules, torch.tensor([[end, end]]), torch.ones(1, 2).bool(), 99)


@pytest.mark.slow
def test_with_the_grammar_every_file_of_an_untrained_model_is_sound_and_without_it_few_are(
    tmp_path, record_property
):
    alphabet = CODEC.alphabet
    train_tokenizer(iter(alphabet), 257, tmp_path, alphabet)
    rng, num_sound, num_free = np.random.default_rng(6), 0, 0
    for number, (sampling, restart, keep_header) in enumerate(SETTINGS):
        height, width = rng.integers(8, 25, 2).tolist()
        codec = JpegCodec(height, width, 25, sampling, restart, keep_header)
        budget = codec.grammar.cost(codec.grammar.start) + 300
        how = Generation(max_new_tokens=budget, temperature=1.0, top_k=None)
        torch.manual_seed(number)
        network = partial(
            FromConfig, model_type="llama", options=OPTIONS | {"max_position_embeddings": 2048}
        )
        system = CodecLM(network, str(tmp_path), codec, generation=how)
        system.configure_model()
        for record in system.eval().new(4):
            assert record["decoder_error"] is None, (sampling, restart, keep_header, height, width)
            assert record["has_end"]
            assert record["opens"]
        system.constrained = False
        records = system.new(4)
        num_sound += sum(record["decoder_error"] is None for record in records)
        num_free += len(records)
    record_property("share of sound files without the grammar", num_sound / num_free)
    print(f"sound without the grammar: {num_sound} of {num_free} files")
    assert num_sound / num_free < 0.5


def test_a_new_file_is_decided_by_its_number_and_the_seed_not_by_the_files_beside_it(system):
    def sequences(records):
        return [record["jpg"] for record in records]

    together = sequences(system.new(4))
    assert len(set(together)) == 4
    assert sequences(system.new(1)) + sequences(system.new(3, first=1)) == together
    assert sequences(system.new(2, first=1, every=2)) == together[1::2]  # another rank's share
    system.generation = replace(system.generation, seed=1)
    assert sequences(system.new(4)) != together
    batch = prompts(system, ["", ""])
    both = sequences(system.predict_step(batch, 0))
    alone = {name: batch[name][1:] for name in batch}
    assert sequences(system.predict_step(alone, 7)) == both[1:]


def test_drawn_images_are_as_many_as_captions(system):
    drawn = system.draw([""] * 3)
    assert drawn.shape == (3, 16, 16, 3)
    assert drawn.dtype == torch.uint8
