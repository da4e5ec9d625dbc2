import json
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from callbacks.predictions import JsonLines
from callbacks.records import line


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


def image(value):
    return torch.full((4, 4, 3), value, dtype=torch.uint8)


def no_json(word):
    raise AssertionError(f"{word} is not JSON")


def lines(path):
    raw_lines = path.read_text().splitlines()
    return [json.loads(line, parse_constant=no_json) for line in raw_lines]


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
    assert not (tmp_path / "images").exists()


def test_every_image_is_a_file_and_those_that_came_make_a_grid(tmp_path):
    run = trainer(tmp_path)
    first = {"name": "a", "prompt": ["red", image(1)], "continuation": [image(2)]}
    second = {"name": "b", "prompt": [image(3)], "continuation": ["x", image(4), image(5)]}
    predicted(run, [first], [second])
    records = lines(tmp_path / "predictions.jsonl")
    assert [list(record) for record in records] == [["name", "prompt", "continuation"]] * 2
    paths = [records[0]["prompt"][1], records[0]["continuation"][0], records[1]["prompt"][0]]
    paths += records[1]["continuation"][1:]
    values = [np.unique(np.asarray(Image.open(path))).tolist() for path in paths]
    assert values == [[1], [2], [3], [4], [5]]
    grid = np.asarray(Image.open(tmp_path / "images" / "grid.png"))
    assert sorted(np.unique(grid).tolist()) == [2, 4, 5, 255]
    assert run.said[0] == f"name a · prompt red {paths[0]} · continuation {paths[1]}"


def test_clips_stand_below_one_another(tmp_path):
    clips = [torch.full((4, 60, 3), value, dtype=torch.uint8) for value in (1, 2)]
    predicted(trainer(tmp_path), [{"name": "a", "clip": clip} for clip in clips])
    with Image.open(tmp_path / "images" / "grid.png") as grid:
        assert grid.size == (60 * 24, (4 + 2 + 4) * 24)


def test_ranks_write_apart(tmp_path):
    for rank in (0, 1):
        predicted(trainer(tmp_path, rank, 2), [{"prompt": "p", "image": image(rank)}])
    names = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert names == ["predictions.1.jsonl", "predictions.jsonl"]
    values = [
        int(np.asarray(Image.open(lines(tmp_path / name)[0]["image"])).max()) for name in names
    ]
    assert values == [1, 0]


class Scores(NamedTuple):
    score: torch.Tensor
    label: list[str]


@dataclass
class Answer:
    text: str
    p: float


V = "prediction"
KINDS = {
    "numbers of a batch": (torch.tensor([1, 2]), [{V: 1}, {V: 2}]),
    "vectors": (torch.ones(2, 3, dtype=torch.bfloat16), [{V: [1.0] * 3}] * 2),
    "one number": (torch.tensor(0.5), [{V: 0.5}]),
    "an array": (np.arange(2), [{V: 0}, {V: 1}]),
    "numbers": ([1.5, 2], [{V: 1.5}, {V: 2}]),
    "texts": (["a", "b"], [{V: "a"}, {V: "b"}]),
    "one text": ("ab", [{V: "ab"}]),
    "tensors in a list": ([torch.zeros(2), torch.ones(1)], [{V: [0.0, 0.0]}, {V: [1.0]}]),
    "two tensors": (
        (torch.tensor([1, 2]), torch.tensor([[3], [4]])),
        [{f"{V}_0": 1, f"{V}_1": [3]}, {f"{V}_0": 2, f"{V}_1": [4]}],
    ),
    "a batch by name": (
        {"score": torch.tensor([0.5, 0.25]), "label": ["x", "y"]},
        [{"score": 0.5, "label": "x"}, {"score": 0.25, "label": "y"}],
    ),
    "a named tuple": (Scores(torch.tensor([0.5]), ["x"]), [{"score": 0.5, "label": "x"}]),
    "one dictionary": ({"text": "x", "p": 0.5}, [{"text": "x", "p": 0.5}]),
    "dataclasses": ([Answer("x", 0.5)], [{"text": "x", "p": 0.5}]),
    "nested": ([{"a": {"b": torch.ones(1), 3: (1, None)}}], [{"a": {"b": [1.0], "3": [1, None]}}]),
    "complex numbers": (torch.tensor([1 + 2j, 3 - 1j]), [{V: [1.0, 2.0]}, {V: [3.0, -1.0]}]),
    "a complex array": (np.array([[1j]]), [{V: [[0.0, 1.0]]}]),
    "one complex number": ([1j], [{V: [0.0, 1.0]}]),
    "no numbers": (torch.tensor([float("nan"), float("inf"), 1.0]), [{V: None}, {V: None}, {V: 1}]),
    "no number within": ([{"p": float("nan"), "q": [float("-inf")]}], [{"p": None, "q": [None]}]),
    "times": ([{"at": date(2024, 5, 6)}], [{"at": "2024-05-06"}]),
    "numpy inside": ([{"n": np.float64(0.5), "m": np.int8(3)}], [{"n": 0.5, "m": 3}]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_predicted_becomes_one_record_a_sample(kind, tmp_path):
    outputs, wanted = KINDS[kind]
    predicted(trainer(tmp_path), outputs)
    assert lines(tmp_path / "predictions.jsonl") == wanted


def test_a_batch_of_grey_images_becomes_files(tmp_path):
    predicted(trainer(tmp_path), torch.full((2, 5, 4), 7, dtype=torch.uint8))
    paths = [record["prediction"] for record in lines(tmp_path / "predictions.jsonl")]
    assert [np.asarray(Image.open(path)).shape for path in paths] == [(5, 4), (5, 4)]
    assert (tmp_path / "images" / "grid.png").is_file()


@pytest.mark.parametrize("outputs", [object(), [object()], [{"a": [object()]}], torch.nn.ReLU()])
def test_what_no_file_can_hold_is_named(outputs, tmp_path):
    with pytest.raises(TypeError, match=r"object|ReLU"):
        predicted(trainer(tmp_path), outputs)


def test_nothing_predicted_is_nothing_written(tmp_path):
    run = trainer(tmp_path)
    predicted(run, None, [], torch.zeros(0, 3))
    assert not (tmp_path / "predictions.jsonl").exists()
    assert run.said == []


def test_people_see_keys_and_few_digits(tmp_path):
    run = trainer(tmp_path)
    record = {"id": "one", "label": "human", "p_machine": 0.7336930696, "code": list(range(64))}
    predicted(run, [record])
    wanted = "id one · label human · p_machine 0.7337 · code 0 1 2 3 4 5 6 7 ... (64)"
    assert run.said[0] == wanted
    assert lines(tmp_path / "predictions.jsonl") == [record]


@pytest.mark.parametrize(
    "end", ['{"id": "c", "te', '{"id": "c", "text": "\\u00', "{", '"id"', "x" * 70_000]
)
def test_a_file_that_is_gone_on_with_keeps_whole_lines_only(tmp_path, end):
    whole = [{"id": "a"}, {"id": "b"}]
    for name in ("answers.jsonl", "answers.1.jsonl", "answers.old.jsonl"):
        complete = "".join(json.dumps(record) + "\n" for record in whole)
        (tmp_path / name).write_text(complete + end)
    callback = JsonLines(path=str(tmp_path / "answers.jsonl"))
    callback.on_predict_start(trainer(tmp_path), None)
    for name in "cd":
        callback.on_predict_batch_end(trainer(tmp_path), None, [{"id": name}], None, 0)
    assert lines(tmp_path / "answers.jsonl") == [*whole, {"id": "c"}, {"id": "d"}]
    assert lines(tmp_path / "answers.1.jsonl") == whole  # of a rank that is no more
    assert (tmp_path / "answers.old.jsonl").read_text().endswith(end)  # of no rank


def test_a_last_line_that_only_lacks_its_end_stays(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": "a"}\n{"id": "ü"}')
    callback = JsonLines(path=str(path))
    callback.on_predict_start(trainer(tmp_path), None)
    callback.on_predict_batch_end(trainer(tmp_path), None, [{"id": "c"}], None, 0)
    assert lines(path) == [{"id": "a"}, {"id": "ü"}, {"id": "c"}]


def test_the_terminal_shows_a_few_numbers_by_name_and_no_empty_part():
    record = {
        "id": "a",
        "stance": "",
        "text": "x" * 1500,
        "judge": {"left": 0.25, "right": 0.75},
        "steps": [{"t": 1}],
        "many": dict.fromkeys(map(str, range(9)), 0.5),
        "words": {"a": "b"},
    }
    shown = f"id a · text {'x' * 1000} ... (1,500 characters) · judge left 0.25, right 0.75"
    assert line(record) == shown
