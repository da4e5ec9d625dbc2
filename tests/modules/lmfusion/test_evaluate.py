import json
import multiprocessing
import socket

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from cli import main
from datamodules.image_text.batch import DocumentImage, collate
from modules.lmfusion.evaluate import ImageTextMetrics, cider, pairs
from modules.lmfusion.system import LMFusion
from modules.metrics.image.clip_score import ClipScore
from modules.metrics.image.frechet import Gaussian, frechet_distance
from tests.fixtures.lmfusion_small_run import rows, shapes, write_config, write_llama
from tests.fixtures.runs import fit, newest_run, rank_main

END = 2


class Corners(torch.nn.Module):
    """Three pixels of an image as its features."""

    def forward(self, image_BCHW):
        return torch.stack(
            [image_BCHW[:, 0, 8, 8], image_BCHW[:, 1, 20, 9], image_BCHW[:, 2, 3, 9]], 1
        )


def image(number, is_first=False):
    return DocumentImage(np.full((3, 4, 4), number, np.float32), True, is_first)


def test_pairs_are_documents_of_one_image_and_one_caption_in_either_order():
    documents = [
        [[1], [7, 8], image(0)],
        [[1], image(1, True), [9, 7], [END]],
        [[1], [5, 6], [END]],
        [[1], image(2)],
        [[1], image(3, True), [4], image(4), [5]],
        [[1], [6], image(5)],
    ]
    batch = collate(documents, [10, 11, 12, 13, 14, -1], 4, (3, 4, 4))
    image_pairs = pairs(batch, END)
    assert [(p.row, p.caption_T.tolist()) for p in image_pairs] == [(10, [7, 8]), (11, [9, 7])]
    assert [p.latent_CHW[0, 0, 0].item() for p in image_pairs] == [0, 1]


def test_captions_are_scored_in_the_order_of_their_rows():
    said = [(3, "a red ring", "a red ring"), (1, "a blue cross", "a green square")]
    assert cider(said) == cider(said[::-1]) > 0
    with pytest.raises(ValueError, match="no document is one image with one caption"):
        cider([])


def test_statistics_without_features_are_refused():
    with pytest.raises(ValueError, match=r"statistics real\.npz, but no features"):
        ImageTextMetrics(statistics="real.npz")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP of a few random weights that reads bytes."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    tower = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    letters = [*map(chr, range(97, 123)), *(f"{chr(c)}</w>" for c in range(97, 123))]
    vocab = {token: i for i, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    ends = {"bos_token_id": len(vocab) - 2, "eos_token_id": len(vocab) - 1}
    text = {**tower, **ends, "vocab_size": len(vocab), "max_position_embeddings": 12}
    vision = {**tower, "image_size": 16, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(
        folder
    )
    CLIPTokenizer(vocab=vocab, merges=[]).save_pretrained(folder)
    crop = {"height": 16, "width": 16}
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=crop).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tokenizer_folder):
    """A config and its checkpoint."""
    folder = tmp_path_factory.mktemp("judged")
    config = write_config(folder, write_llama(folder / "llama"), tokenizer_folder)
    return config, fit(config) / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def metrics(clip, tmp_path_factory):
    script = tmp_path_factory.mktemp("features") / "corners.pt"
    torch.jit.trace(Corners(), torch.rand(2, 3, 32, 32)).save(script)
    options = {
        "features": {
            "class_path": "modules.metrics.image.image_features.TorchScript",
            "init_args": {"path": str(script)},
        },
        "clip": str(clip),
    }
    return {"class_path": "modules.lmfusion.evaluate.ImageTextMetrics", "init_args": options}


def arguments(trained, metrics, *extra):
    config, checkpoint = trained
    data = f"--data.init_args.test={json.dumps([shapes(7, 2)])}"
    flag = f"--model.init_args.test_metrics={json.dumps(metrics)}"
    return ["test", f"--config={config}", f"--ckpt_path={checkpoint}", data, flag, *extra]


def judged(trained):
    names = ("frechet", "clip_score", "cider", "perplexity")
    return [rows(newest_run(trained[0]), f"test/{name}")[0] for name in names]


def by_hand(trained, clip):
    """The same, document by document, from what the system answers."""
    from datamodules.image_text.datamodule import ImageTextData
    from datamodules.synthetic.shapes.source import ShapePairs

    system = LMFusion.load_from_checkpoint(trained[1]).eval()
    pair = ShapePairs(num=7, seed=2)
    data = ImageTextData(
        system.tokenizer_source, [pair], test=[pair], num_patches=16, caption_first=0.6
    )
    data.setup("test")
    pipeline, score = system.pipeline, ClipScore(clip)
    drawn, real, fit, said = [], [], [], []
    for number in range(7):
        batch = data._items["test"].batch(np.array([number]), 1)
        (image_pair,) = pairs(batch, pipeline.tokenizer.eos_token_id)
        caption = pipeline.tokenizer.decode(image_pair.caption_T)
        start = torch.tensor([pipeline.tokenizer.bos_token_id or pipeline.tokenizer.eos_token_id])
        fields = {"name": "", "number": number}
        asked = [
            {**fields, "segments": [torch.cat([start, image_pair.caption_T])], "want": "image"},
            {**fields, "segments": [start, image_pair.latent_CHW], "want": "text"},
        ]
        (latent,), (written,) = pipeline.answer(asked)
        image = pipeline.pixels.of(torch.stack([latent, image_pair.latent_CHW])) / 255
        features = Corners()(image.permute(0, 3, 1, 2)).double().numpy()
        drawn.append(features[0])
        real.append(features[1])
        fit.append(score(image[:1].permute(0, 3, 1, 2), [caption]).item())
        said.append((number, pipeline.tokenizer.decode(written), caption))
    gaussians = [
        Gaussian(torch.tensor(np.mean(f, 0)), torch.tensor(np.cov(np.array(f).T)))
        for f in (drawn, real)
    ]
    return [frechet_distance(*gaussians), np.mean(fit), cider(said)]


@pytest.fixture(scope="module")
def alone(trained, metrics):
    main(arguments(trained, metrics))
    return judged(trained)


def test_the_test_command_measures_what_is_drawn_and_said(trained, clip, alone):
    assert alone[:3] == pytest.approx(by_hand(trained, clip), rel=1e-4)


def test_the_evaluation_does_not_depend_on_the_batch_size(trained, metrics, alone):
    main(arguments(trained, metrics, "--data.init_args.eval_batch_size=3"))
    assert judged(trained) == pytest.approx(alone, rel=1e-4)


def test_two_ranks_evaluate_as_one_process(trained, metrics, alone):
    """Seven documents: one rank's last batch is a filler."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    layers = ["--config=configs/strategy/ddp.yaml", "--trainer.devices=2"]
    args = arguments(trained, metrics, *layers, "--data.init_args.eval_batch_size=2")
    logs = [trained[0].parent / f"metrics{rank}.log" for rank in range(2)]
    context = multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=rank_main, args=(rank, 2, port, [args], logs[rank]))
        for rank in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(100)
    assert [process.exitcode for process in ranks] == [0, 0], logs[0].read_text()[-3000:]
    assert judged(trained) == pytest.approx(alone, rel=1e-4)


def test_statistics_of_real_images_are_kept_and_used_again(trained, metrics, alone, tmp_path):
    path = tmp_path / "real.npz"
    kept = {**metrics, "init_args": {**metrics["init_args"], "statistics": str(path)}}
    main(arguments(trained, kept))
    assert judged(trained) == pytest.approx(alone, rel=1e-6)
    shifted = Gaussian.load(path)
    Gaussian(shifted.mean_D + 100, shifted.covariance_DD).save(path)
    main(arguments(trained, kept))
    assert judged(trained)[0] > 1000
