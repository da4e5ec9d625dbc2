"""Clips from a tiny untrained language model."""

from functools import partial

import numpy as np
import pytest
import torch

from datamodules.clips.moving_images import MovingImages
from datamodules.codec.datamodule import CodecData
from datamodules.images.digits import Digits
from engine.commands.tokenizer import train_tokenizer
from modules.causal_lm.generate import Generation
from modules.causal_lm.network import FromConfig
from modules.codec_lm.h264.codec import AvcCodec
from modules.codec_lm.h264.frame_prediction import frame_prediction
from modules.codec_lm.system import CodecLM
from tests.modules.codec_lm.test_generate import OPTIONS

CODEC = AvcCodec(16, 16, 6)
CLIPS = MovingImages(Digits("test"), 12, size=10)


@pytest.fixture(scope="module")
def tokenizer_of_clips(tmp_path_factory):
    shape = CODEC.shape[:3]
    texts = [CODEC.text(CLIPS.clip(n, shape)) for n in range(len(CLIPS))]
    folder = tmp_path_factory.mktemp("clips_bpe")
    train_tokenizer(iter(texts), 320, folder, CODEC.alphabet)
    return str(folder)


@pytest.fixture
def system(tokenizer_of_clips):
    torch.manual_seed(0)
    system = CodecLM(
        partial(FromConfig, model_type="llama", options=OPTIONS | {"max_position_embeddings": 512}),
        tokenizer_of_clips,
        CODEC,
        generation=Generation(max_new_tokens=160, temperature=1.0, top_k=None),
    )
    system.configure_model()
    return system.eval()


def test_finished_clips_keep_their_frames_and_are_not_complained_of(
    system, tokenizer_of_clips, tmp_path
):
    data = CodecData(
        CODEC,
        tokenizer_of_clips,
        train=[CLIPS],
        test=[CLIPS],
        num_samples=3,
        share=0.667,
        batch_size=3,
        cache=str(tmp_path),
    )
    (batch,) = data.predict_dataloader()
    for number, record in enumerate(system.predict_step(batch, 0)):
        assert record["has_end"]
        assert record["decoder_error"] is None
        assert record["continuation"].shape == (16, 6 * 16, 3)
        shown = CODEC.decode(record["h264"][len(CODEC.file(b"")) :])
        clip = CODEC.decode(CODEC.encode(CLIPS.clip(number, CODEC.shape[:3])))
        given = CODEC.given(0.667)
        assert np.array_equal(shown[:given], clip[:given])
        prediction = frame_prediction(torch.from_numpy(shown), torch.from_numpy(clip), given)
        assert prediction.written > 0


def test_new_clips_lie_side_by_side(system):
    drawn = system.draw(["", ""])
    assert drawn.shape == (2, 16, 6 * 16, 3)
    assert drawn.dtype == torch.uint8


def test_kinds_of_tokens_are_those_of_video(system):
    ids = system.tokenizer.encode(CODEC.text(CLIPS.clip(0, CODEC.shape[:3])))
    kinds = {system.rules.kinds[n] for n in system.rules.token_kinds([*ids, system.rules.end])}
    assert {"start_code", "coefficient", "finish"} < kinds
    assert "marker" not in kinds
