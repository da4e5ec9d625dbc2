"""The configs of file models."""

import math

import pytest
import torch

from modules.causal_lm.network import FromConfig
from modules.codec_lm.jpeg.codec import JpegCodec
from tests.fixtures.layers import CONFIGS, as_data, runs

FILES = [path for room in ("jpeg_lm", "avc_lm") for path in runs(f"{room}/*.yaml")]


def read(name):
    return as_data(CONFIGS / f"{name}.yaml")


def num_parameters(config, tokenizer_size):
    network = config["model"]["init_args"]["network"]["init_args"]
    with torch.device("meta"):
        model = FromConfig(tokenizer_size, **network)
    return sum(p.numel() for p in model.parameters())


def test_the_papers_network_is_llama_2_7b_with_a_small_vocabulary():
    llama_2_7b, vocabulary, width = 6_738_415_616, 32_000, 4096
    wanted = llama_2_7b + 2 * (320 - vocabulary) * width  # embedding and output layer
    assert num_parameters(read("jpeg_lm/paper_7b"), 320) == wanted == 6_478_893_056


def test_the_papers_network_for_clips_is_the_same_with_its_own_vocabulary():
    wanted = 6_738_415_616 + 2 * (1024 - 32_000) * 4096
    assert num_parameters(read("avc_lm/paper_7b"), 1024) == wanted == 6_484_660_224


def test_the_papers_recipe_for_clips_is_the_papers():
    config = read("avc_lm/paper_7b")
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    assert model["optimizer"]["init_args"]["lr"] == 3e-4
    assert (data["row_length"], data["packing"]) == (32_768, "concatenate")
    codec = data["codec"]["init_args"]
    assert (codec["height"], codec["width"], codec["frames"]) == (144, 256, 15)
    assert (codec["qp"], codec["fps"], codec["slice_max_mbs"]) == (37, 3, 1)


def test_the_papers_recipe_is_the_papers():
    config = read("jpeg_lm/paper_7b")
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    assert model["optimizer"]["init_args"]["lr"] == 3e-4
    assert (data["row_length"], data["packing"]) == (12_288, "concatenate")
    codec = JpegCodec(**data["codec"]["init_args"])
    assert codec == JpegCodec(256, 256)
    assert (codec.quality, codec.sampling, codec.restart) == (25, "4:2:0", "mcu")
    assert len(codec.header) == 59
    assert codec.grammar.num_mcus == 256


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_config_has_a_context_for_the_longest_file_it_may_write(path):
    config = read(f"{path.parent.name}/{path.stem}")
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    context = model["network"]["init_args"]["options"]["max_position_embeddings"]
    assert 1 + model["generation"]["max_new_tokens"] <= context
    assert data["row_length"] <= context


def test_half_an_image_and_all_that_may_be_written_behind_it_fit_into_the_papers_context():
    model = read("jpeg_lm/paper_7b")["model"]["init_args"]
    context = model["network"]["init_args"]["options"]["max_position_embeddings"]
    longest = model["generation"]["max_new_tokens"]
    assert 1 + longest // 2 + longest <= context == 12_288


@pytest.mark.parametrize("name", ["mnist", "cifar10", "emoji"])
def test_the_small_configs_share_one_llama(name):
    network = read(f"jpeg_lm/{name}")["model"]["init_args"]["network"]["init_args"]
    digits = read("jpeg_lm/digits")["model"]["init_args"]["network"]["init_args"]
    assert {**network["options"], "max_position_embeddings": 1024} == digits["options"]


STAGES = "train", "validate", "test"
IMAGES = [*FILES, *runs("vq/*.yaml")]


@pytest.mark.parametrize("path", IMAGES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_no_stage_sees_images_of_another(path):
    data = read(f"{path.parent.name}/{path.stem}")["data"]["init_args"]
    [train], [validate], [test] = (data[stage] for stage in STAGES)
    rows = [images_of(source) for source in (train, validate, test)]
    for n, (dataset, first, last) in enumerate(rows):
        for other_dataset, begin, end in rows[n + 1 :]:
            assert dataset != other_dataset or last <= begin or end <= first, (
                dataset,
                other_dataset,
            )


def images_of(source):
    """The file of a source's images, and the range of its rows."""
    source = source["init_args"].get("images", source)
    options = {**source["init_args"]}
    first, num = options.pop("skip", 0), options.pop("num", None)
    options.pop("copies", None)
    return options, first, math.inf if num is None else first + num
