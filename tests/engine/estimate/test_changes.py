import shlex

import pytest
from jsonargparse import Namespace

from engine.estimate.changes import changes
from engine.estimate.report import duration


def config():
    network = Namespace(
        activation_checkpointing=False, loss_chunk=None, lora=None, quantize=None, source="x"
    )
    adamw = Namespace(class_path="torch.optim.AdamW", init_args=Namespace(lr=1e-3))
    model = Namespace(network=Namespace(init_args=network), optimizer=adamw)
    return Namespace(
        model=Namespace(init_args=model),
        data=Namespace(init_args=Namespace(batch_size=8)),
        trainer=Namespace(precision="bf16-mixed", accumulate_grad_batches=2),
    )


def test_each_change_edits_what_its_option_says():
    for change in changes(config()):
        edited = config()
        assert change.edit(edited), change.option
        words = shlex.split(change.option)
        for key, value in zip(words[::2], words[1::2], strict=True):
            found = edited[key.removeprefix("--")]
            if key.endswith("optimizer"):
                found = found.class_path
            shown = "{" in value or str(found).lower() == value.lower()
            assert shown, (key, found, value)


def test_a_change_that_is_made_already_changes_nothing():
    done = config()
    for change in changes(config())[:4]:
        change.edit(done)
    assert not any(change.edit(done) for change in changes(done)[:4])


def test_a_smaller_batch_is_the_same_step():
    edited = config()
    [change] = [one for one in changes(config()) if "batch_size" in one.option]
    assert change.edit(edited)
    assert edited.data.init_args.batch_size * edited.trainer.accumulate_grad_batches == 8 * 2


@pytest.mark.parametrize(
    ("days", "said"),
    [(2.5, "2.5 days"), (0.5, "12 hours"), (1e-3, "1.44 minutes"), (0.0, "0 seconds")],
)
def test_a_duration_is_said_in_a_unit_that_fits(days, said):
    assert duration(days) == said
