import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.part import GpuPart
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.runner import Runner


def measures(bench):
    bench.row(6, "of one", 2.0, 1.0)
    bench.details["seen"] = str(bench.device)


def runs_out_of_memory(bench):
    bench.row(6, "before it", 1.0, 1.0)
    print("filling the device")
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB")


def lacks_a_package(bench):
    import nowhere_to_be_found  # noqa: F401


def exits(bench):
    raise SystemExit("refused: no such strategy")


def is_killed(bench):
    os.kill(os.getpid(), signal.SIGKILL)


def takes_too_long(bench):
    bench.row(6, "in time", 1.0, 1.0)
    time.sleep(60)


def run(tmp_path, *parts, seconds=60.0, **options):
    """The file of a run of some parts, after it, and each time that it was written."""
    seen = []
    out = tmp_path / "gpu.json"

    def tell(text):
        seen.append(json.loads(out.read_text()))

    given = {"device": torch.device("cpu"), "quick": True, "start": "fork"} | options
    Runner(parts, out=out, folder=tmp_path, seconds=seconds, tell=tell, **given).run()
    return json.loads(out.read_text()), seen


def test_failures_are_recorded_with_their_messages_and_the_others_go_on(tmp_path):
    failing = (runs_out_of_memory, lacks_a_package, exits, is_killed)
    parts = [GpuPart(work.__name__, work, 20) for work in (*failing, measures)]
    found, _ = run(tmp_path, *parts)
    states = {name: one["status"] for name, one in found["parts"].items()}
    assert states == {work.__name__: "failed" for work in failing} | {"measures": "done"}
    messages = {name: one.get("message") for name, one in found["parts"].items()}
    assert messages["runs_out_of_memory"].startswith("OutOfMemoryError: CUDA out of memory. Tried")
    assert messages["lacks_a_package"].startswith("ModuleNotFoundError: No module named 'nowhere")
    assert messages["exits"] == "SystemExit: refused: no such strategy"
    assert messages["is_killed"] == "it ended with code -9"
    assert "filling the device" in found["parts"]["runs_out_of_memory"]["printed"]
    assert [(row["part"], row["what"]) for row in found["rows"]] == [
        ("runs_out_of_memory", "before it"),
        ("measures", "of one"),
    ]
    assert found["parts"]["measures"]["details"] == {"seen": "cpu"}


def test_a_part_that_takes_too_long_is_ended_and_keeps_the_rows_it_has(tmp_path):
    start = time.monotonic()
    found, _ = run(tmp_path, GpuPart("slow", takes_too_long, 1), GpuPart("next", measures, 20))
    assert time.monotonic() - start < 20
    assert found["parts"]["slow"]["status"] == "timed out"
    assert [row["what"] for row in found["rows"]] == ["in time", "of one"]


def test_parts_that_do_not_fit_into_the_time_are_listed_as_skipped(tmp_path):
    parts = (
        GpuPart("short", measures, 5),
        GpuPart("long", measures, 100),
        GpuPart("last", measures, 5),
    )
    found, _ = run(tmp_path, *parts, seconds=30.0)
    assert found["skipped"] == ["long"]
    assert "it may take 100" in found["parts"]["long"]["message"]
    assert [found["parts"][name]["status"] for name in ("short", "last")] == ["done", "done"]


def test_the_file_is_written_after_every_part(tmp_path):
    _, seen = run(tmp_path, GpuPart("one", measures, 5), GpuPart("two", measures, 5))
    states = [[one["status"] for one in content["parts"].values()] for content in seen]
    begun, ended = ["waiting", "waiting"], ["done", "waiting"]
    assert states == [begun, ended, ended, ["done", "done"]]


def test_what_needs_cuda_is_named_as_not_run_on_a_cpu(tmp_path):
    found, _ = run(tmp_path, GpuPart("kernels", measures, 5, needs_cuda=True))
    assert found["parts"]["kernels"] == {"status": "not run", "message": "needs CUDA"}


def test_new_processes_are_begun_where_the_first_part_fails_in_a_forked_one(tmp_path, monkeypatch):
    runner = Runner(
        [GpuPart("machine", measures, 5)],
        torch.device("cuda"),
        tmp_path / "gpu.json",
        tmp_path,
        tell=lambda text: None,
    )
    monkeypatch.setattr(
        Runner,
        "outcome",
        lambda self, part: {"status": "done" if self.start == "spawn" else "failed"},
    )
    runner.run()
    assert runner.start == "spawn"
    assert runner.found["machine"]["status"] == "done"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_has_time_within_nine_minutes(part: GpuPart):
    assert 0 < part.seconds <= 150
    assert Path(f"benchmarks/gpu/{part.work.__module__.rpartition('.')[2]}.py").exists()
