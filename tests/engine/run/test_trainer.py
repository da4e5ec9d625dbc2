import pickle

import pytest

from engine.run.trainer import Trainer


def trainer(**options):
    return Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", **options)


def test_what_watches_steps_stands_around_all_callbacks():
    names = [type(callback).__name__ for callback in trainer(max_steps=1).callbacks]
    assert names[0] == "WholeSteps"
    assert names[-2:] == ["SoundSteps", "Interruptions"]


def test_a_trainer_can_be_sent_to_processes_that_are_spawned():
    sent = pickle.loads(pickle.dumps(trainer(max_steps=1)))
    assert sent.callbacks[0] is sent.whole_steps
    assert sent.callbacks[-1].signals is sent._signal_connector


def test_a_run_must_allow_one_step_to_be_left_out():
    with pytest.raises(ValueError, match="max_skipped_steps must be at least 1, got 0"):
        trainer(max_skipped_steps=0)
