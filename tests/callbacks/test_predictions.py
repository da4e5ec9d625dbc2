import json
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from callbacks.predictions import JsonLines


def trainer(folder, rank=0, world=1):
    said = []
    return SimpleNamespace(
        logger=True,
        log_dir=str(folder),
        global_rank=rank,
        world_size=world,
        print=lambda *parts, **_: said.append(parts[0]),
        said=said,
    )


def picture(value):
    return torch.full((4, 4, 3), value, dtype=torch.uint8)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def predicted(run, *batches, show=8):
    callback = JsonLines(show)
    callback.on_predict_start(run, None)
    for batch in batches:
        callback.on_predict_batch_end(run, None, batch, None, 0)
    callback.on_predict_end(run, None)


def test_texts_are_one_json_line_each_and_printed_in_one(tmp_path):
    run = trainer(tmp_path)
    records = [{"prompt": "The cat", "continuation": " sät."}, {"prompt": "", "continuation": "A"}]
    predicted(run, records[:1], records[1:], show=1)
    assert lines(tmp_path / "predictions.jsonl") == records
    assert run.said == ["The cat sät.", f"predictions  {tmp_path / 'predictions.jsonl'}"]
    assert not (tmp_path / "pictures").exists()


def test_every_picture_is_a_file_and_those_that_came_make_a_grid(tmp_path):
    run = trainer(tmp_path)
    first = {"name": "a", "prompt": ["red", picture(1)], "continuation": [picture(2)]}
    second = {"name": "b", "prompt": [picture(3)], "continuation": ["x", picture(4), picture(5)]}
    predicted(run, [first], [second])
    found = lines(tmp_path / "predictions.jsonl")
    assert [list(record) for record in found] == [["name", "prompt", "continuation"]] * 2
    paths = [found[0]["prompt"][1], found[0]["continuation"][0], found[1]["prompt"][0]]
    paths += found[1]["continuation"][1:]
    values = [np.unique(np.asarray(Image.open(path))).tolist() for path in paths]
    assert values == [[1], [2], [3], [4], [5]]
    grid = np.asarray(Image.open(tmp_path / "pictures" / "grid.png"))
    assert sorted(np.unique(grid).tolist()) == [2, 4, 5, 255]
    assert run.said[0] == f"a | red {paths[0]} | {paths[1]}"


def test_clips_stand_below_one_another(tmp_path):
    clips = [torch.full((4, 60, 3), value, dtype=torch.uint8) for value in (1, 2)]
    predicted(trainer(tmp_path), [{"name": "a", "clip": clip} for clip in clips])
    with Image.open(tmp_path / "pictures" / "grid.png") as grid:
        assert grid.size == (60 * 24, (4 + 2 + 4) * 24)


def test_ranks_write_apart(tmp_path):
    for rank in (0, 1):
        predicted(trainer(tmp_path, rank, 2), [{"prompt": "p", "picture": picture(rank)}])
    names = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert names == ["predictions.1.jsonl", "predictions.jsonl"]
    values = [
        int(np.asarray(Image.open(lines(tmp_path / name)[0]["picture"])).max()) for name in names
    ]
    assert values == [1, 0]


def test_what_is_no_record_is_passed_over(tmp_path):
    run = trainer(tmp_path)
    predicted(run, [torch.zeros(2)], None, [])
    assert not (tmp_path / "predictions.jsonl").exists()
    assert run.said == []
