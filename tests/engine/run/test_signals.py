"""What handlers of signals do, and what they leave."""

import os
import signal
from types import SimpleNamespace

import pytest
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning.pytorch.trainer.states import TrainerFn

from engine.ranks.agreement import Ranks
from engine.run.interruption import Interrupted, Interruptions, Signals


def trainer(fn=TrainerFn.FITTING, environment=None):
    """As much of a trainer as signals ask for."""
    connector = SimpleNamespace(cluster_environment=environment or LightningEnvironment())
    launcher = SimpleNamespace(procs=["a rank"])
    return SimpleNamespace(
        state=SimpleNamespace(fn=fn),
        _accelerator_connector=connector,
        strategy=SimpleNamespace(launcher=launcher),
    )


@pytest.fixture
def listening():
    """Handlers as a run registers them; the ones before come back."""
    made = []

    def start(**options):
        made.append(Signals(trainer(**options)))
        made[-1].register_signal_handlers()
        return made[-1]

    yield start
    for listener in made:
        listener.teardown()


def send(signum):
    os.kill(os.getpid(), signum)


def test_a_handler_takes_note_and_does_nothing_else(listening):
    signals = listening()
    send(signal.SIGTERM)
    assert signals.noted == signal.SIGTERM
    send(signal.SIGTERM)
    send(signal.SIGINT)
    assert signals.noted == signal.SIGTERM


def test_ctrl_c_pressed_three_times_stops_at_once(listening):
    listening()
    send(signal.SIGINT)
    send(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_does_not_train_ends_at_once(listening, signum):
    listening(fn=TrainerFn.PREDICTING)
    with pytest.raises(Interrupted) as ended:
        send(signum)
    assert ended.value.code == 128 + signum


def test_handlers_of_others_are_called_and_come_back(listening):
    heard = []

    def other(signum, frame):
        heard.append(signum)
        raise SystemExit(7)  # as a grid's does, which ends everything

    before = signal.signal(signal.SIGTERM, other)
    try:
        signals = listening()
        send(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        assert signals.noted == signal.SIGTERM
        signals.teardown()
        assert signal.getsignal(signal.SIGTERM) is other
    finally:
        signal.signal(signal.SIGTERM, before)


def test_slurms_signal_is_answered_at_the_end_of_a_step_and_the_run_goes_on(listening, monkeypatch):
    signals = listening(environment=SLURMEnvironment(auto_requeue=True))
    queued = []
    monkeypatch.setattr(Signals, "_slurm_sigusr_handler_fn", lambda *a: queued.append(1))
    send(signal.SIGUSR1)
    assert not queued
    interruptions = Interruptions(signals, Ranks())
    interruptions.ask()
    assert queued == [1]
    interruptions.ask()
    assert queued == [1]


def test_a_stop_keeps_the_launcher_from_killing_the_first_rank(listening):
    signals = listening()
    send(signal.SIGTERM)
    with pytest.raises(Interrupted) as ended:
        Interruptions(signals, Ranks()).ask()
    assert ended.value.is_agreed
    assert not signals.trainer.strategy.launcher.procs
