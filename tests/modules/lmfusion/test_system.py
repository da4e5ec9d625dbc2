import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM

from cli import main
from modules.lmfusion.network.mask import PREFIX, Runs
from modules.lmfusion.system import LMFusion
from tests.fixtures.lmfusion_small_run import (
    EMA,
    noise_of_each_image,
    on_ranks,
    rows,
    write_llama,
)
from tests.fixtures.runs import fit, fit_on_ranks, last, losses, newest_run, refused, weights

BOI_WEIGHT = "--model.init_args.boi_weight=1.0"


@pytest.fixture
def own_noise(monkeypatch):
    """Noise that is an image's own, so that batches can be cut in any way."""
    monkeypatch.setattr(LMFusion, "noise", noise_of_each_image)


def steps(number):
    return f"--trainer.max_steps={number}"


def loaded(run):
    return LMFusion.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()


@torch.no_grad()
def text_logits(system, token):
    none = torch.zeros(0, 3, 32, 32), torch.zeros(0)
    runs = Runs([PREFIX], [0], [len(token)])
    out = system.fusion(token, torch.arange(len(token)), *none, runs, read_prefix=True)
    return system.fusion.logits(out.prefix_WD)[:, :-1]


def test_training_leaves_the_language_model_as_it_was_to_the_last_bit(config, llama):
    run = fit(config, BOI_WEIGHT)  # FrozenGuard compares sums before and after
    model = AutoModelForCausalLM.from_pretrained(llama).eval()
    token = torch.randint(300, (40,))
    with torch.no_grad():
        wanted = model(token[None]).logits[0]
    system = loaded(run)
    assert torch.equal(text_logits(system, token), wanted)
    fresh = LMFusion(system.make_network, system.tokenizer_source)
    fresh.configure_model()
    before = dict(fresh.named_parameters())
    moved = {n for n, p in system.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n, p in system.named_parameters() if p.requires_grad}


def test_checkpoints_leave_frozen_weights_out_and_reload_exactly(config, llama):
    run = fit(config)
    state = weights(run)
    system = loaded(run)
    assert set(state) == {n for n, p in system.named_parameters() if p.requires_grad}
    assert not any(".text." in name or "head" in name for name in state)
    assert all(torch.equal(dict(system.named_parameters())[n], v) for n, v in state.items())

    path = run / "checkpoints" / "less.ckpt"
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    del checkpoint["state_dict"]["network.mark"]
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match=r"1 missing: network\.mark"):
        LMFusion.load_from_checkpoint(path)
    write_llama(llama, seed=2)
    with refused(r"trained with frozen weights .* but the config has"):
        fit(config, last(run), steps(6))


@pytest.mark.parametrize("boi_weight", [0.0, 0.5])
def test_one_batch_of_eight_and_eight_of_one_train_alike(
    config, own_noise, monkeypatch, boi_weight
):
    from modules.lmfusion import boi

    def every(high, size):  # every other position, so that nothing is left to chance
        return torch.arange(high if size[0] else 0)

    if boi_weight:
        monkeypatch.setattr(boi.torch, "randint", every)
    extra = [f"--model.init_args.boi_weight={boi_weight}"]
    whole = fit(config, *extra, "--data.init_args.batch_size=8")
    cut = ["--data.init_args.batch_size=1", "--trainer.accumulate_grad_batches=8"]
    parts = fit(config, *extra, *cut)
    for name in ("train/loss", "train/image", "train/text", "train/gradient_norm"):
        assert rows(parts, name) == pytest.approx(rows(whole, name), rel=1e-4), name
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-2, atol=1e-4)


def test_the_logged_loss_is_the_weighted_sum_over_all_targets(config, monkeypatch):
    batches = []
    step = LMFusion.training_step

    def watched(self, batch, batch_idx):
        batches.append(batch["num_targets"])
        return step(self, batch, batch_idx)

    monkeypatch.setattr(LMFusion, "training_step", watched)
    weighted = ["--model.init_args.text_weight=0.5", "--model.init_args.image_weight=3"]
    run = fit(config, *weighted, "--data.init_args.caption_first=0.2")
    triples = zip(
        *(rows(run, f"train/{n}") for n in ("loss", "image", "text")), batches, strict=True
    )
    for loss, image, text, count in triples:
        expected = 3 * image + 0.5 * text * count["later"] / count["text"]
        assert loss == pytest.approx(expected, rel=1e-5)


def test_a_resumed_run_is_the_uninterrupted_one(config):
    """The noise is drawn anew in every step; 13 is in the second epoch, 3 and 13 within one."""
    extra = [EMA, BOI_WEIGHT, "--trainer.val_check_interval=5"]
    whole = fit(config, *extra, steps(16))
    for k in (3, 13):
        resumed = fit(config, *extra, last(fit(config, *extra, steps(k))), steps(16))
        assert losses(resumed) == losses(whole)[k:]
        after, expected = (
            torch.load(r / "checkpoints" / "last.ckpt", weights_only=True) for r in (whole, resumed)
        )
        for key in ("state_dict", "optimizer_states", "ema"):
            torch.testing.assert_close(after[key], expected[key], rtol=0, atol=0)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_train_as_one_process(config, own_noise, strategy):
    alone = fit(config)
    layers = [f"--config=configs/strategy/{strategy}.yaml", "--data.init_args.batch_size=2"]
    together = fit_on_ranks(config, 2, *layers)
    assert set(weights(together)) == set(weights(alone))
    for name in ("train/loss", "train/image", "train/text", "train/gradient_norm"):
        assert rows(together, name) == pytest.approx(rows(alone, name), rel=1e-4), name
    for name, value in weights(alone).items():
        torch.testing.assert_close(weights(together)[name], value, rtol=1e-2, atol=1e-4)


def texts_and_images(folder):
    """Documents of text alone, and of images alone."""
    folder.mkdir()
    Image.fromarray(np.full((32, 32, 3), 99, np.uint8)).save(folder / "grey.png")
    kinds = [
        [{"text": "The cat sat on the mat."}],
        [{"generate": "grey.png"}],
        [{"generate": "grey.png"}, {"text": "The cat"}],
    ]
    for number, kind in enumerate(kinds):
        (folder / f"{number}.jsonl").write_text(json.dumps({"segments": kind}) + "\n")
    sources = [
        {
            "class_path": "datamodules.images.interleaved.InterleavedJsonl",
            "init_args": {"path": str(folder / f"{number}.jsonl")},
        }
        for number in range(3)
    ]
    return f"--data.init_args.train={json.dumps(sources)}"


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize(
    "extra",
    [[], [BOI_WEIGHT], ["--model.init_args.network.init_args.freeze_text=false"]],
    ids=["frozen", "taught to draw", "trained"],
)
def test_a_rank_without_images_or_later_text_keeps_up(config, own_noise, tmp_path, strategy, extra):
    """One document a rank: text alone, an image alone, or an image with text after it."""
    extra = [*extra, texts_and_images(tmp_path / "mixed"), steps(6)]
    alone = fit(config, *extra, "--data.init_args.batch_size=2")
    layers = [f"--config=configs/strategy/{strategy}.yaml", "--data.init_args.batch_size=1"]
    together = fit_on_ranks(config, 2, *extra, *layers)
    if BOI_WEIGHT not in extra:  # there each rank draws its own positions
        assert losses(together) == pytest.approx(losses(alone), rel=1e-3)
    assert len(losses(together)) == 6


def test_where_no_text_is_frozen_bois_row_needs_no_lesson_of_its_own(config):
    trained = "--model.init_args.network.init_args.freeze_text=false"
    with refused(r"boi_weight is 1.0, but the language model is trained"):
        fit(config, BOI_WEIGHT, trained)


def test_the_validate_command_measures_what_training_measured(config):
    run = fit(config, EMA, "--trainer.val_check_interval=4")
    main(["validate", f"--config={config}", EMA, last(run)])
    for name in ("validate/image", "validate/text"):
        again = rows(newest_run(config), name)
        assert again == pytest.approx(rows(run, name), rel=1e-9)


def test_validation_is_the_same_in_batches_of_any_size_and_on_ranks(config):
    run = last(fit(config))
    measured_in = {}
    for name, more in {
        "one by one": ["--data.init_args.eval_batch_size=1"],
        "by fours": ["--data.init_args.eval_batch_size=4"],
        "all": ["--data.init_args.eval_batch_size=6"],
    }.items():
        main(["validate", f"--config={config}", run, *more])
        measured_in[name] = measured(newest_run(config))
    ddp = "--config=configs/strategy/ddp.yaml"
    measured_in["two ranks"] = measured(on_ranks("validate", config, ddp, run))
    first, *others = measured_in.values()
    assert len(first) == 2
    for other in others:
        assert other == pytest.approx(first, rel=1e-5)


def measured(run):
    return [value for name in ("validate/image", "validate/text") for value in rows(run, name)]


def test_only_what_predicts_clean_images_can_learn_from_clean_ones():
    from modules.lmfusion.system import LMFusion

    LMFusion(lambda: None, "none", prediction="x_0", read_signal=1)
    for kind in ("eps", "v"):
        with pytest.raises(ValueError, match=rf"no {kind} can be told from a clean image"):
            LMFusion(lambda: None, "none", prediction=kind, read_signal=1)
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\], got 0"):
        LMFusion(lambda: None, "none", read_signal=0)
