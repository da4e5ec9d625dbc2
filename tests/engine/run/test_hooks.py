import lightning as L
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from engine.run.hooks import EVERY_STEP, skip_idle_hooks


class Counts(L.Callback):
    def __init__(self):
        self.calls = []

    def on_train_batch_end(self, *args):
        self.calls.append("end")

    def on_before_optimizer_step(self, *args):
        self.calls.append("step")


class Names(L.pytorch.profilers.Profiler):
    def __init__(self):
        super().__init__()
        self.names = []

    def start(self, action_name):
        self.names.append(action_name)

    def stop(self, action_name):
        pass


def run(skip):
    torch.manual_seed(0)
    counts, names = Counts(), Names()
    callbacks = [counts, L.Callback()]
    if skip:
        skip_idle_hooks(callbacks)
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=3,
        logger=False,
        callbacks=callbacks,
        profiler=names,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(BoringModel())
    hooks = [name for name in names.names if name.split(".")[-1] in EVERY_STEP]
    return counts.calls, [name for name in hooks if name.startswith("[Callback]C")]


def test_hooks_that_are_defined_are_called_and_no_others():
    assert run(skip=True)[0] == run(skip=False)[0] == ["step", "end"] * 3
    assert len(run(skip=True)[1]) == 2 * 3
    assert len(run(skip=False)[1]) == 2 * 6 * 3
