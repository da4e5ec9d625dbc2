"""The scripts that start runs on clusters, with stand-ins for Slurm, and torchrun itself."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.fixtures.runs import fit, losses, newest_run, write_config

ROOT = Path(__file__).parents[1]
SBATCH, TORCHRUN = ROOT / "scripts" / "slurm.sbatch", ROOT / "scripts" / "torchrun.sh"
NO_DROPOUT = "--model.init_args.network.init_args.options.attention_dropout=0.0"
SRUN = """#!/usr/bin/env bash
echo "$@" > srun.args
trap 'exit "$ON_TERM"' TERM
touch started
for _ in $(seq "$TENTHS"); do sleep 0.1; done
exit "$AT_END"
"""
"""A training that takes a while, and what it exits with at its end or after SIGTERM."""


@pytest.fixture
def job(tmp_path):
    """Run the batch script in a folder of its own; what it exits with, and who was queued again."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", '#!/bin/sh\necho "$@" > scontrol.args\n')):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def run(*args, at_end=0, on_term=143, tenths=3, send=None, **more):
        values = {"PATH": f"{programs}:{os.environ['PATH']}", "SLURM_JOB_ID": "77", **more}
        values |= {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_NNODES": "8"}
        values |= {"AT_END": str(at_end), "ON_TERM": str(on_term), "TENTHS": str(tenths)}
        script = subprocess.Popen(["bash", SBATCH, *args], env=os.environ | values, cwd=tmp_path)
        if send is not None:
            wait_for(tmp_path / "started")
            script.send_signal(send)
        code = script.wait(60)
        queued = tmp_path / "scontrol.args"
        return code, queued.read_text().strip() if queued.exists() else None, tmp_path

    return run


def wait_for(file: Path, seconds: float = 30) -> None:
    """Wait until a file is there."""
    end = monotonic() + seconds
    while not file.exists() and monotonic() < end:
        sleep(0.02)


def test_a_job_whose_time_is_up_is_saved_and_queued_again(job):
    code, queued, folder = job("fit", "--config", "a.yaml", tenths=300, send=signal.SIGUSR1)
    assert (code, queued) == (0, "requeue 77")
    told = (folder / "srun.args").read_text()
    assert "cli.py fit --config a.yaml --ckpt_path=auto --trainer.num_nodes=8" in told


@pytest.mark.parametrize("code", [0, 1, 2, 143])
def test_a_job_that_ends_by_itself_is_not_queued_again(job, code):
    """Done, failed, refused, or ended by somebody's SIGTERM though there was time."""
    assert job("fit", at_end=code)[:2] == (code, None)


@pytest.mark.parametrize("code", [1, 137])
def test_a_job_that_could_not_save_in_time_is_not_queued_again(job, code):
    found = job("fit", on_term=code, tenths=300, send=signal.SIGUSR1)
    assert found[:2] == (code, None)


def test_a_given_checkpoint_is_for_the_first_start_alone(job):
    given = ["fit", "--ckpt_path", "a.ckpt"]
    first = (job(*given)[2] / "srun.args").read_text()
    again = (job(*given, SLURM_RESTART_COUNT="1")[2] / "srun.args").read_text()
    assert "ckpt_path=auto" not in first
    assert "--ckpt_path a.ckpt --ckpt_path=auto" in again


@pytest.mark.parametrize("script", [SBATCH, TORCHRUN], ids=lambda path: path.name)
def test_a_script_without_a_command_says_how_it_is_used(script):
    done = subprocess.run(["bash", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage: " in done.stderr


def test_several_machines_need_a_number_each():
    env = os.environ | {"NUM_NODES": "2"}
    env.pop("NODE_RANK", None)
    done = subprocess.run(["bash", TORCHRUN, "fit"], capture_output=True, text=True, env=env)
    assert done.returncode == 2
    assert "give NODE_RANK" in done.stderr


@pytest.mark.slow
def test_two_machines_of_one_process_train_as_one_process(tmp_path, text_file, tokenizer_folder):
    """Each takes the one rank that torchrun gives it; the number of machines is torchrun's too."""
    config = write_config(tmp_path, text_file, tokenizer_folder)
    alone = losses(fit(config, NO_DROPOUT))
    machines = [start(config, node=node, nodes=2, each=1, port=PORTS[0]) for node in (1, 0)]
    assert [machine.wait(240) for machine in machines] == [0, 0]
    assert losses(newest_run(config)) == pytest.approx(alone, rel=1e-5)
    machine = start(config, node=0, nodes=1, each=2, port=PORTS[1])
    assert machine.wait(240) == 0
    assert losses(newest_run(config)) == pytest.approx(alone, rel=1e-5)


def start(config, node, nodes, each, port):
    """One machine's torchrun, as the script starts it, with the devices of the config's layer."""
    script = [str(TORCHRUN), "fit", f"--config={config}", "--config=configs/strategy/ddp.yaml"]
    script += [NO_DROPOUT, "--data.init_args.batch_size=2"]
    told = {"NUM_NODES": nodes, "NODE_RANK": node, "PER_NODE": each, "PORT": port}
    values = {key: str(value) for key, value in told.items()}
    values |= {"TORCHRUN": str(Path(sys.executable).parent / "torchrun")}
    return subprocess.Popen(["bash", *script], env=os.environ | values, cwd=ROOT)


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on."""
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


PORTS = free_ports(2)
