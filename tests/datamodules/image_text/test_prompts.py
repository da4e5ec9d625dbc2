import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from datamodules.image_text.datamodule import ImageTextData
from datamodules.synthetic.shapes.source import ShapePairs
from datamodules.text.tokenizer import load_tokenizer
from tests.fixtures.images import encoded, pixels, write_folder


@pytest.fixture
def predict(tokenizer_folder):
    def build(prompts: list[str] | str | None) -> list[dict[str, object]]:
        options = {"image_size": 8, "num_patches": 4, "eval_batch_size": 2}
        data = ImageTextData(tokenizer_folder, [ShapePairs(1)], prompts=prompts, **options)
        data.setup("predict")
        return [prompt for batch in data.predict_dataloader() for prompt in batch["prompt"]]

    return build


def as_lists(prompt: dict[str, object]) -> list[object]:
    return [s.tolist() if s.ndim == 1 else s.shape for s in prompt["segments"]]


def test_captions_ask_for_images(predict, tokenizer_folder):
    vocabulary = load_tokenizer(tokenizer_folder)
    texts = ["the cat", "", "a moon"]
    prompts = predict(texts)
    for prompt, text, ids in zip(prompts, texts, vocabulary.encode(texts), strict=True):
        assert prompt["want"] == "image"
        assert as_lists(prompt) == [[vocabulary.start, *ids]], text
        assert prompt["segments"][0].dtype == torch.int64
    assert [prompt["name"] for prompt in prompts] == ["0", "1", "2"]
    assert [prompt["number"] for prompt in prompts] == [0, 1, 2]
    assert as_lists(predict(None)[0]) == [[vocabulary.start]]


def test_a_file_may_ask_for_anything(predict, tokenizer_folder, tmp_path):
    write_folder(tmp_path, num=2)
    vocabulary = load_tokenizer(tokenizer_folder)
    edit = [{"image": "0.png"}, {"text": "red"}, {"image": "1.png"}]
    lines = [
        {"prompt": "the cat", "name": "cat"},
        {"image": "1.png"},
        {"segments": edit},
        {"segments": [{"text": "red"}, {"text": "red"}], "want": "both"},
    ]
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n\n".join(map(json.dumps, lines)))
    [red] = vocabulary.encode(["red"])
    start, shape = vocabulary.start, (3, 8, 8)
    prompts = predict(str(file))
    assert [(p["name"], p["want"]) for p in prompts] == [
        ("cat", "image"),
        ("1", "text"),
        ("2", "image"),
        ("3", "both"),
    ]
    assert as_lists(prompts[1]) == [[start], shape]
    assert as_lists(prompts[2]) == [[start], shape, red, shape]
    assert as_lists(prompts[3]) == [[start, *red], red]
    expected = torch.from_numpy(pixels(1).transpose(2, 0, 1) / 127.5 - 1).float()
    torch.testing.assert_close(prompts[1]["segments"][1], expected)


def test_captions_are_read_from_lines_of_text(predict, tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert len(predict(str(tmp_path / "a.txt"))) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"a\.jsonl:1 \(broken JSON\)"),
        ("[]", r"a\.jsonl:1 \(not a JSON object\)"),
        ('{"text": "a"}', r"a\.jsonl:1 \(no key 'prompt', 'image' or 'segments' among text"),
        ('{"image": "no.png"}', r"a\.jsonl:1 \(.*no\.png is missing"),
        ('{"prompt": "a", "want": "video"}', "want must be one of image, text, both, got 'video'"),
        ('{"segments": [{"word": "a"}]}', r"a\.jsonl:1 \(a segment must have one key"),
    ],
)
def test_an_empty_prompt_is_refused(predict, tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(ValueError, match=message):
        predict(str(tmp_path / "a.jsonl"))


def test_a_broken_image_names_its_prompt(predict, tmp_path):
    (tmp_path / "cut.png").write_bytes(encoded(0, 64)[:500])
    (tmp_path / "a.jsonl").write_text('{"image": "cut.png", "name": "house"}')
    with pytest.raises(ValueError, match="prompt house: a broken image"):
        predict(str(tmp_path / "a.jsonl"))


def test_other_files_are_refused(predict, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist"):
        predict(str(tmp_path / "none.txt"))
    (tmp_path / "a.md").write_text("a")
    with pytest.raises(ValueError, match=r"a\.md holds no prompts: a file of them ends in \.txt"):
        predict(str(tmp_path / "a.md"))
    with pytest.raises(ValueError, match=r'image.* with the line {"image": "003\.png"}'):
        predict("my/pics/003.png")
    with pytest.raises(FileNotFoundError, match=r"data\.init_args\.prompts '\[\"a red circle\"\]'"):
        predict("a red circle")


def test_prompts_of_a_table_take_the_column_that_is_not_empty(predict, tmp_path):
    write_folder(tmp_path, num=1)
    (tmp_path / "a.csv").write_text("prompt,image,want\nthe cat,,\n,0.png,\nred,,both\n")
    names_and_wants = [(p["name"], p["want"]) for p in predict(str(tmp_path / "a.csv"))]
    assert names_and_wants == [("0", "image"), ("1", "text"), ("2", "both")]


def test_bad_prompts_are_refused_before_weights_are_loaded(tokenizer_folder):
    data = ImageTextData(tokenizer_folder, [ShapePairs(1)], prompts="a red circle")
    data.trainer = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.PREDICTING))
    with pytest.raises(FileNotFoundError, match="there is no file 'a red circle'"):
        data.prepare_data()


def test_prompts_move_to_the_device(tokenizer_folder):
    data = ImageTextData(tokenizer_folder, [ShapePairs(1)])
    batch = {"prompt": [{"name": "0", "segments": [torch.tensor([1])], "want": "image"}]}
    moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved["prompt"][0]["segments"][0].device.type == "meta"
    assert np.array_equal(batch["prompt"][0]["segments"][0].numpy(), [1])
