import json
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from datamodules.image_text.datamodule import ImageTextData
from datamodules.images.encode_latents import Share, store_latents
from datamodules.images.files import ImageTextFolder
from datamodules.images.interleaved import InterleavedJsonl
from datamodules.images.latents import StoredLatents
from datamodules.images.source import Pair, Segment
from datamodules.images.vae import Scaling, load_vae
from datamodules.synthetic.shapes.source import ShapePairs
from tests.fixtures.images import NUM, caption, pixels, write_folder

CHANNELS = [4, 8]


@pytest.fixture(scope="module", params=CHANNELS)
def vae_folder(request, tmp_path_factory) -> tuple[str, int]:
    """A random autoencoder that halves the sides, and its latent channels."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    model = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=request.param,
        norm_num_groups=4,
        sample_size=8,
        scaling_factor=0.3,
    )
    folder = tmp_path_factory.mktemp("vae")
    model.save_pretrained(folder)
    return str(folder), request.param


def stored(folder: Path, vae: str, **options) -> StoredLatents:
    source = ImageTextFolder(write_folder(folder / "set"))
    store_latents(source, load_vae(vae), folder / "out", 8, batch_size=5)
    return StoredLatents(str(folder / "out"), **options)


def test_stored_moments_are_those_of_diffusers(tmp_path, vae_folder):
    from diffusers import AutoencoderKL

    folder, channels = vae_folder
    source = stored(tmp_path, folder, sample=False)
    model = AutoencoderKL.from_pretrained(folder).eval()
    assert len(source) == NUM
    for index in range(NUM):
        image = torch.from_numpy(pixels(index).transpose(2, 0, 1)).float()[None] / 127.5 - 1
        with torch.no_grad():
            expected = model.encode(image).latent_dist.mean[0] * 0.3
        pair = source.sample(index, Random(0))
        assert isinstance(pair, Pair)
        assert pair.captions == [caption(index)]
        assert pair.image.shape == (channels, 4, 4)
        torch.testing.assert_close(torch.from_numpy(pair.image), expected, rtol=2e-3, atol=1e-3)


def test_samples_have_the_stored_mean_and_variance():
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(2, 4, 3, 3))
    moment = np.concatenate([mean, log_variance]).astype(np.float16)
    scaling = Scaling(scale=0.5, shift=0.25)
    draws = np.stack([scaling.sample(moment, Random(i)) for i in range(4000)])
    assert draws.dtype == np.float32
    np.testing.assert_allclose(draws.mean(0), (mean - 0.25) * 0.5, atol=0.1)
    np.testing.assert_allclose(draws.var(0), 0.25 * np.exp(log_variance), rtol=0.15)
    np.testing.assert_allclose(scaling.sample(moment, None), (mean - 0.25) * 0.5, atol=2e-3)


def test_a_draw_is_repeated_by_the_same_rng(tmp_path, vae_folder):
    source = stored(tmp_path, vae_folder[0])
    first, again, other = (source.sample(3, Random(seed)).image for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_interleaved_documents_are_stored_too(tmp_path, vae_folder):
    write_folder(tmp_path, num=2)
    segments = [{"image": "0.png"}, {"text": "red"}, {"generate": "1.png"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"segments": segments}))
    source = InterleavedJsonl(str(tmp_path / "a.jsonl"))
    store_latents(source, load_vae(vae_folder[0]), tmp_path / "out", 8)
    first, text, second = StoredLatents(str(tmp_path / "out")).sample(0, Random(0))
    assert text == "red"
    assert isinstance(first, Segment)
    assert isinstance(second, Segment)
    assert (first.is_target, second.is_target) == (False, True)
    assert not np.array_equal(first.image, second.image)


@pytest.mark.filterwarnings("ignore")
def test_bad_images_are_left_out_and_listed(tmp_path, vae_folder):
    line = b'{"file_name": "none.png", "text": "a"}'
    source = ImageTextFolder(write_folder(tmp_path / "set", [line]))
    vae = load_vae(vae_folder[0])
    meta = store_latents(source, vae, tmp_path / "out", 8, max_bad_rate=0.1)
    assert (meta["documents"], meta["images"], meta["bad"]) == (NUM, NUM, 1)
    assert "none.png is missing" in (tmp_path / "out" / "bad_samples.jsonl").read_text()
    with pytest.raises(ValueError, match="1 of 13 samples"):
        store_latents(source, vae, tmp_path / "other", 8, max_bad_rate=0.01)
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.glob(".*"))


def read(folder: Path) -> list[tuple[list[str], bytes]]:
    source = StoredLatents(str(folder), sample=False)
    samples = [source.sample(index, Random(0)) for index in range(len(source))]
    return [(list(one.captions), one.image.tobytes()) for one in samples if isinstance(one, Pair)]


@pytest.mark.filterwarnings("ignore")
def test_ranks_write_together_what_one_writes_alone(tmp_path, vae_folder):
    """In any order, after a stop, on another number of ranks; bad documents are counted once."""
    line = b'{"file_name": "none.png", "text": "a"}'
    source = ImageTextFolder(write_folder(tmp_path / "set", [line, line.replace(b"none", b"no")]))
    vae = load_vae(vae_folder[0])

    def write(name: str, rank: int, world_size: int, **more) -> dict | None:
        share = Share(rank, world_size, part_size=4)
        return store_latents(source, vae, tmp_path / name, 8, 3, 0.2, share=share, **more)

    alone = write("alone", 0, 1)
    assert (alone["documents"], alone["bad"], len(alone["parts"])) == (NUM, 2, 4)
    assert write("both", 1, 2) is None
    assert not (tmp_path / "both").exists()
    assert write("both", 0, 2) == alone
    assert write("both", 1, 2) == alone  # one that comes late
    assert write("three", 2, 3) is None  # the others were stopped
    shutil.rmtree(tmp_path / "three.parts" / "00002")
    with pytest.raises(FileExistsError, match=r"three\.parts holds parts of other images"):
        write("three", 0, 1, max_pixels=100)
    assert write("three", 0, 1) == alone
    assert read(tmp_path / "alone") == read(tmp_path / "both") == read(tmp_path / "three")
    assert len(read(tmp_path / "alone")) == NUM
    lines = (tmp_path / "both" / "bad_samples.jsonl").read_text().splitlines()
    assert [Path(json.loads(line)["origin"]).name for line in lines] == [
        "metadata.jsonl:13",
        "metadata.jsonl:14",
    ]
    assert not list(tmp_path.glob("*.parts"))


def test_latents_of_format_1_are_still_read(tmp_path, vae_folder):
    stored(tmp_path, vae_folder[0])
    old, new = tmp_path / "old", tmp_path / "out"
    shutil.copytree(new / "00000", old)
    meta = json.loads((new / "meta.json").read_text())
    del meta["parts"]
    (old / "meta.json").write_text(json.dumps(meta | {"format": 1}))
    assert read(old) == read(new)


def test_what_does_not_fit_is_refused(tmp_path, vae_folder):
    source, vae = ShapePairs(2), load_vae(vae_folder[0])
    with pytest.raises(ValueError, match=r"multiple of 2 for .*, got 7"):
        store_latents(source, vae, tmp_path / "out", 7)
    (tmp_path / "full").mkdir()
    with pytest.raises(FileExistsError, match="full exists already"):
        store_latents(source, vae, tmp_path / "full", 8)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_vae(str(tmp_path / "none"))
    with pytest.raises(ValueError, match="no AutoencoderKL could be loaded"):
        load_vae(str(tmp_path / "full"))
    with pytest.raises(FileNotFoundError, match=r"meta\.json does not exist"):
        len(StoredLatents(str(tmp_path / "full")))


def test_a_cut_file_of_moments_is_refused(tmp_path, vae_folder):
    source = stored(tmp_path, vae_folder[0])
    file = tmp_path / "out" / "00000" / "moments.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"moments\.bin has \d+ bytes, meta\.json says"):
        len(source)


def test_data_write_their_latents_and_train_on_them(tmp_path, vae_folder, tokenizer_folder):
    vae, channels = vae_folder
    pairs = {"train": [ShapePairs(6)], "validate": [ShapePairs(3, seed=1)]}
    data = ImageTextData(tokenizer_folder, **pairs, image_size=32, num_patches=4)
    lines = list(data.write_latents(vae, tmp_path / "out"))
    assert [Path(line.split(":")[0]).name for line in lines] == ["train", "validate"]
    shape = {"image_size": 16, "channels": channels, "num_patches": 16}
    train = [StoredLatents(str(tmp_path / "out" / "train"))]
    prompt = tmp_path / "set"
    (tmp_path / "a.jsonl").write_text('{"image": "set/0.png"}')
    write_folder(prompt, num=1)
    data = ImageTextData(
        tokenizer_folder, train, **shape, batch_size=6, prompts=str(tmp_path / "a.jsonl"), vae=vae
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["latent_ICHW"].shape == (6, channels, 16, 16)
    [prompt_batch] = data.predict_dataloader()
    assert prompt_batch["prompt"][0]["segments"][1].shape == (channels, 16, 16)
    other = ImageTextData(tokenizer_folder, train, **(shape | {"channels": 3}))
    with pytest.raises(ValueError, match=rf"stored latents are \({channels}, 16, 16\)"):
        other.setup("fit")
