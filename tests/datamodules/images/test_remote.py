"""Image shards behind URLs: the same samples in the same order as of those in a folder."""

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from datamodules.images.datamodule import ImageData
from datamodules.images.files import ImageFiles, ImageTextFolder
from datamodules.images.parquet import ImageTextParquet
from datamodules.images.source import ImageSource
from datamodules.images.tar import ImageTextTar
from tests.fixtures.image_sources import drawn, write_parquet
from tests.fixtures.images import encoded, write_folder, write_tar
from tests.fixtures.remote import served, store

NUM_SHARDS, PER_SHARD = 4, 6
KINDS = {"tar": ImageTextTar, "parquet": ImageTextParquet}


@pytest.fixture(autouse=True)
def own_copies(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINER_REMOTE_CACHE", str(tmp_path / "copies"))


def image(index: int) -> bytes:
    """An image file; the tenth is broken."""
    return b"no image" if index == 10 else encoded(index)


@pytest.fixture
def shards(tmp_path) -> Path:
    """Tars and Parquet files of the same images, with one broken one."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(NUM_SHARDS):
        own = range(shard * PER_SHARD, (shard + 1) * PER_SHARD)
        members = [
            (f"{i}{end}", content)
            for i in own
            for end, content in ((".png", image(i)), (".txt", f"image {i}".encode()))
        ]
        write_tar(folder / f"{shard:02}.tar", members)
        cells = [{"bytes": image(i), "path": ""} for i in own]
        kept = ["yes" if i % 7 else "no" for i in own]
        captions = [f"image {i}" for i in own]
        write_parquet(folder / f"{shard:02}.parquet", cells, caption=captions, kept=kept)
    return folder


def source(kind: str, path: str, cache: Path, **options) -> ImageSource:
    if kind == "parquet":
        options["where"] = {"kept": "yes"}
    return KINDS[kind](path, cache=str(cache), **options)


def batches(train: ImageSource, num: int, rank: int = 0, world: int = 1, state=None, **more):
    """Origins and pixels of the first batches of a rank, the tally, and the state behind them."""
    data = ImageData([train], [], [], size=8, channels=3, batch_size=4 // world, **more)
    data.replica = lambda: (rank, world)  # type: ignore[method-assign]
    data.max_bad_rate = 0.5
    data.prepare_data()
    data.setup("fit")
    if state:
        data.load_state_dict(state)
    loader = data.train_dataloader()
    stream = (batch for _ in count() for batch in loader)  # one epoch after the other
    found = []
    for _ in range(num):
        batch = data.on_before_batch_transfer(next(stream), 0)
        names = [Path(origin).name for origin in batch["origin"]]
        found.append((names, batch["pixel_BCHW"].numpy().tobytes()))
    return found, data.state_dict()


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_reads_remote_shards_as_it_reads_those_of_a_folder(kind, window, shards, tmp_path):
    """On one rank and on two, whole, and resumed in the middle on another number of ranks."""
    url = store(shards, "set")

    def local() -> ImageSource:
        return source(kind, str(shards), tmp_path / "a", window=window)

    def remote() -> ImageSource:
        return source(kind, f"{url}/*.{kind}", tmp_path / "b", window=window)

    expected, state = batches(local(), 12)
    assert state["samples"]["bad"] >= 1
    assert batches(remote(), 12) == (expected, state)
    for rank in (0, 1):
        halves, _ = batches(remote(), 12, rank, 2)
        assert halves == batches(local(), 12, rank, 2)[0]
        own = slice(2 * rank, 2 * rank + 2)
        assert [names for names, _ in halves] == [names[own] for names, _ in expected]
    first, state = batches(remote(), 5, 0, 2)
    rest, _ = batches(remote(), 7, state=state)
    assert [first[i][0] for i in range(5)] == [expected[i][0][:2] for i in range(5)]
    assert rest == expected[5:]


@pytest.mark.slow
@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_workers_read_from_a_server_that_their_parent_has_asked(kind, window, shards, tmp_path):
    expected, _ = batches(source(kind, str(shards), tmp_path / "a", window=window), 8)
    with served(shards) as server:
        url = f"{server.url}/{{00..03}}.{kind}"
        remote = source(kind, url, tmp_path / "b", window=window)
        found, _ = batches(remote, 8, num_workers=2)
    assert found == expected


def test_a_window_leaves_a_shard_for_good_before_it_opens_too_many(shards, tmp_path):
    train = source("tar", str(shards), tmp_path, window=1)
    order = train.order(np.random.default_rng(0))
    assert sorted(order) == list(range(NUM_SHARDS * PER_SHARD))
    shard = order // PER_SHARD
    assert [len(set(part)) for part in shard.reshape(NUM_SHARDS, PER_SHARD)] == [1] * NUM_SHARDS
    assert not np.array_equal(np.sort(order[:PER_SHARD]), order[:PER_SHARD])
    wide = source("tar", str(shards), tmp_path, window=2).order(np.random.default_rng(0))
    places = [np.flatnonzero(wide // PER_SHARD == one) for one in range(NUM_SHARDS)]
    in_use = [sum(p[0] <= at <= p[-1] for p in places) for at in range(len(wide))]
    assert max(in_use) <= 3
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        source("tar", str(shards), tmp_path, window=0)


def test_a_changed_shard_changes_the_fingerprint_and_the_index(shards, tmp_path):
    url = store(shards, "set")
    before = source("tar", f"{url}/*.tar", tmp_path)
    old, num = before.fingerprint(), len(before)
    assert source("tar", f"{url}/*.tar", tmp_path).fingerprint() == old
    write_tar(shards / "01.tar", [("x.png", encoded(50)), ("x.txt", b"new")])
    after = source("tar", f"{store(shards, 'set')}/*.tar", tmp_path)
    assert after.fingerprint() != old
    assert len(after) == num - PER_SHARD + 1
    assert drawn(after, PER_SHARD).captions == ["new"]


@pytest.mark.parametrize("manners", [{}, {"has_ranges": False}, {"fails": 3}])
@pytest.mark.parametrize("kind", KINDS)
def test_a_web_server_gives_the_same_samples(kind, manners, shards, tmp_path):
    """Also one that sends whole files only, and one that fails every third request."""
    local = source(kind, str(shards), tmp_path / "a")
    with served(shards, **manners) as server:
        remote = source(kind, f"{server.url}/{{00..03}}.{kind}?key=secret", tmp_path / "b")
        remote.prepare()
        assert len(remote) == len(local)
        for index in range(len(local)):
            name = Path(local.location(index)).name
            assert remote.location(index) == f"{server.url}/{name}"
            assert drawn(remote, index) == drawn(local, index)
        assert "secret" not in remote.name + remote.fingerprint()
        gets = [path for method, path, _ in server.requests if method == "GET"]
    if manners == {"has_ranges": False}:
        assert max(map(gets.count, gets)) <= 4  # each was copied, not read once a sample


def test_a_sample_of_a_tar_takes_one_request(shards, tmp_path):
    with served(shards) as server:
        remote = source("tar", f"{server.url}/00.tar", tmp_path)
        remote.prepare()
        server.requests.clear()
        pair = drawn(remote, 2)
    assert pair.captions == ["image 2"]
    [(_, _, asked)] = server.requests
    first, last = map(int, asked.removeprefix("bytes=").split("-"))
    assert last - first < 2000


def test_a_server_that_is_down_makes_samples_bad_with_the_reason(shards, tmp_path, monkeypatch):
    """The first request is sent again, those behind it are not: the run ends soon."""
    monkeypatch.setenv("TRAINER_REMOTE_RETRIES", "2")
    with served(shards) as server:
        remote = source("tar", f"{server.url}/00.tar?key=secret", tmp_path)
        data = ImageData([remote], [], [], size=8, channels=3, batch_size=2)
        data.setup("fit")
        loader = iter(data.train_dataloader())
        server.fails = 1
        server.requests.clear()
        batch = next(loader)
        with pytest.raises(ValueError, match="bad") as told:
            data.on_before_batch_transfer(batch, 0)
        assert len(server.requests) == 2 + 2 * 100
    assert f"{server.url}/00.tar cannot be read: status 503" in str(told.value)
    assert "secret" not in str(told.value)


def test_images_and_their_lists_are_read_from_a_store(tmp_path):
    folder = Path(write_folder(tmp_path / "set", num=3))
    listed = ImageTextFolder(store(folder, "pairs"))
    assert [drawn(listed, i) for i in range(3)] == [
        drawn(ImageTextFolder(str(folder)), i) for i in range(3)
    ]
    alone = ImageFiles("memory://pairs/*.png")
    assert [alone.location(i) for i in range(3)] == [f"memory://pairs/{i}.png" for i in range(3)]
    line = json.dumps({"file_name": "../other/0.png", "text": "a"})
    (folder / "metadata.jsonl").write_text(line)
    with pytest.raises(FileNotFoundError, match=r"\.\./other/0\.png is no path below"):
        drawn(ImageTextFolder(store(folder, "pairs")), 0)
