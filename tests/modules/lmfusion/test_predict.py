"""Answers of a trained model to prompts, in one process and on ranks."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from cli import main
from tests.fixtures.lmfusion_small_run import (
    predict_on_ranks,
)
from tests.fixtures.runs import fit, last, newest_run


def prompts(folder):
    """A caption, an image to caption, an edit, and a text that may contain images."""
    Image.fromarray(np.full((32, 32, 3), 99, np.uint8)).save(folder / "grey.png")
    edit = [{"image": "grey.png"}, {"text": "make it red"}]
    lines = [
        {"prompt": "a red ring", "name": "ring"},
        {"image": "grey.png"},
        {"segments": edit, "want": "image"},
        {"prompt": "a", "want": "both"},
        {"prompt": "a blue ring"},
    ]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return f"--data.init_args.prompts={folder / 'prompts.jsonl'}"


def records(run):
    files = sorted(run.glob("predictions*.jsonl"))
    predictions = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {record["name"]: record for record in predictions}


def pixels(part):
    return np.asarray(Image.open(part)).astype(int)


def test_predict_answers_captions_images_edits_and_texts(config, tmp_path):
    extra = [last(fit(config)), prompts(tmp_path)]
    main(["predict", f"--config={config}", *extra, "--data.init_args.eval_batch_size=2"])
    answers = records(newest_run(config))
    assert list(answers) == ["ring", "1", "2", "3", "4"]
    assert answers["ring"]["prompt"] == ["a red ring"]
    assert pixels(answers["ring"]["continuation"][0]).shape == (32, 32, 3)
    assert (pixels(answers["1"]["prompt"][0]) == 99).all()
    assert all(isinstance(part, str) for part in answers["1"]["continuation"])
    assert answers["2"]["prompt"][1] == "make it red"
    assert pixels(answers["2"]["continuation"][0]).shape == (32, 32, 3)
    assert os.path.isfile(newest_run(config) / "images" / "grid.png")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_ranks_with_different_prompts_answer_as_one_process(config, tmp_path, strategy):
    """Five prompts on two ranks: one rank has two, of another kind and length."""
    extra = [last(fit(config)), prompts(tmp_path), "--data.init_args.eval_batch_size=3"]
    main(["predict", f"--config={config}", *extra])
    alone = records(newest_run(config))
    together = records(
        predict_on_ranks(config, f"--config=configs/strategy/{strategy}.yaml", *extra)
    )
    assert alone.keys() == together.keys()
    for name, record in alone.items():
        for part, same_part in zip(
            record["continuation"], together[name]["continuation"], strict=True
        ):
            if part.endswith(".png"):
                assert abs(pixels(part) - pixels(same_part)).max() <= 1
            else:
                assert part == same_part
