"""A gate before anything is scaled: a model that saw a few files often gives them back."""

from functools import partial

import pytest
import torch

from datamodules.codec.datamodule import CodecText
from datamodules.images.digits import Digits
from engine.optim.muon import MuonAdamW
from modules.causal_lm.generate import Generation
from modules.causal_lm.network import FromConfig
from modules.codec_lm.jpeg.codec import JpegCodec
from modules.codec_lm.system import CodecLM

NUM, STEPS = 16, 150
LEARNING_RATE = 0.02
SHARE = 0.25
OPTIONS = {
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
}


def padded(rows, value):
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


@pytest.mark.slow
def test_sixteen_files_learnt_by_heart_come_back_byte_for_byte():
    torch.manual_seed(0)
    codec = JpegCodec(32, 32, sampling="grey", keep_header=False)
    how = Generation(max_new_tokens=300, temperature=0)
    network = partial(FromConfig, model_type="llama", options=OPTIONS)
    system = CodecLM(network, "assets/digits_bpe", codec, generation=how, constrained=False)
    system.configure_model()
    source = CodecText(Digits(), codec)
    images = [source.pixels(n) for n in range(NUM)]
    end = system.rules.end
    encode = partial(system.tokenizer.encode, add_special_tokens=False)
    files = [[end, *encode(codec.text(image)), end] for image in images]
    token, label = padded([f[:-1] for f in files], 0), padded([f[1:] for f in files], -100)
    position = torch.arange(token.shape[1]).expand_as(token)
    optimizer = MuonAdamW(system.parameter_groups(), LEARNING_RATE)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / 20) * (1 - step / STEPS)
        loss = system.language_model.loss(token, label, position, [token.shape[1]] * NUM)
        (loss / (label >= 0).sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
    system.eval()
    print(f"loss {loss.item() / (label >= 0).sum().item():.4f} nats a token")
    for image, file in zip(images, files, strict=True):
        # its own tokens: a prefix encoded alone may end in tokens that training never shows
        given = torch.tensor([file[: int(SHARE * len(file))]])
        (record,) = system.predict_step(
            {"token_BL": given, "mask_BL": torch.ones_like(given).bool(), "prompt": [""]}, 0
        )
        assert record["has_end"]
        assert record["jpg"] == codec.file(codec.encode(image))
