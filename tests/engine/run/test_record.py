"""run.json records how a run ended, in every case."""

import json
import multiprocessing
import os
import signal
import sys
import time

import pytest

from datamodules.text.datamodule import TextData
from engine.config.parser import refuse
from engine.run.interruption import sigterm_raised
from modules.causal_lm.system import CausalLM
from tests.fixtures.runs import fit, newest_run, write_config


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def send(signum, times=1):
    def act():
        for _ in range(times):
            os.kill(os.getpid(), signum)

    return act


def fail():
    raise ZeroDivisionError("of ours")


BEFORE = (TextData, "train_dataloader")
"""Behind the folder of the run, before the trainer listens to signals."""
READY = (CausalLM, "on_train_start")
"""While it listens, before the first step."""
ENDS = [
    (BEFORE, send(signal.SIGINT), 130, "stopped by SIGINT"),
    (BEFORE, send(signal.SIGTERM), 143, "stopped by SIGTERM"),
    (BEFORE, lambda: refuse("no such column"), 2, "failed: no such column"),
    (BEFORE, lambda: sys.exit(7), 7, "stopped with exit code 7"),
    (BEFORE, fail, None, "failed: ZeroDivisionError: of ours"),
    (READY, send(signal.SIGINT), 130, "stopped by SIGINT"),
    (READY, send(signal.SIGTERM), 143, "stopped by SIGTERM"),
    (READY, send(signal.SIGINT, times=3), 130, "stopped by SIGINT"),
    (READY, fail, None, "failed: ZeroDivisionError: of ours"),
]


@pytest.mark.parametrize(("place", "act", "code", "state"), ENDS)
def test_an_end_before_the_first_step_is_said(config, monkeypatch, place, act, code, state):
    owner, name = place
    honest = getattr(owner, name)

    def interrupted(self, *args):
        act()
        return honest(self, *args)

    monkeypatch.setattr(owner, name, interrupted)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError if code is None else SystemExit) as end:
        fit(config)
    assert getattr(end.value, "code", None) == code
    assert json.loads((newest_run(config) / "run.json").read_text())["state"] == state
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_was_forked_meanwhile_ends_as_it_would_have():
    with sigterm_raised():
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        process.start()
        time.sleep(0.2)
        process.terminate()
        process.join(10)
    assert process.exitcode == -signal.SIGTERM
