"""The command `estimate`, as users run it."""

import re
import resource

import pytest

from cli import main
from tests.fixtures.layers import CONFIGS
from tests.fixtures.runs import refused

TINY = ["estimate", "--config", "configs/causal_lm/tiny.yaml"]
PAPER = {
    "lmfusion/llama3_8b": (7_251, 8_030),
    "causal_lm/llama3_8b_lora": (42, 8_030),
    "jpeg_lm/paper_7b": (6_479, 0),
    "avc_lm/paper_7b": (6_485, 0),
    "icl/opt_6_7b": (6_658, 0),
    "nlgift/llama2_7b_qlora": (33.55, 6_738),
    "p3sum/paper": (163, 0),
}
"""Millions of trained and frozen parameters."""


def said(capsys, *args):
    main([*args])
    return capsys.readouterr().out


def number(text, pattern):
    return float(re.search(pattern, text, re.M).group(1).replace(",", ""))


def test_a_small_config_is_counted_and_fits_everywhere(capsys):
    out = said(capsys, *TINY, "--devices", "8")
    trained = number(out, r"parameters: [\d,]+: ([\d,]+) trained")
    assert 0.8e6 < trained < 1e6
    assert "4,096 tokens" in out  # 8 rows of 512
    assert re.search(r"^ddp +8 ", out, re.M)
    fitting = re.search(r"fits: (.*)", out).group(1)
    assert fitting == ", ".join(
        f"{name} on 8" for name in ("ddp", "fsdp2", "hsdp", "zero2", "zero3", "zero3_offload")
    )


def test_flops_of_a_token_are_six_a_weight_and_those_of_attention(capsys):
    out = said(capsys, *TINY, "--strategy", "ddp", "--devices", "1")
    hidden, inner, layers, length, vocabulary = 128, 352, 4, 512, 1024
    weights = layers * (2 * hidden**2 + 2 * hidden * 64 + 3 * hidden * inner)
    head = number(out, r"parameters: ([\d,]+)") - weights - (2 * layers + 1) * hidden
    flops = 6 * (weights + head) + 14 * layers * hidden * length  # 4 forward, 10 in backward
    assert number(out, r"([\d.e+]+) a token") == pytest.approx(flops, rel=0.02)
    assert vocabulary * hidden / head == pytest.approx(1, rel=0.5)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--gpu", "h1000"], r"there is no h1000.*h100.*known: .*a100-80gb"),
        (["--devices", "0"], "devices and node must be at least 1, got 0"),
        (["--share", "1.5"], "share must lie between 0 and 1, got 1.5"),
        (["--strategy", "fsdp2", "--trainer.precision", "16-mixed"], "FSDP2 does not support"),
        (
            ["--strategy", "zero2", "--model.init_args.optimizer=engine.optim.muon.MuonAdamW"],
            "flat parts",
        ),
    ],
)
def test_what_means_nothing_or_cannot_be_is_refused_in_a_line(args, reason):
    with refused(reason):
        main([*TINY, *args])


def test_a_pair_that_cannot_be_is_a_line_of_the_table_where_all_are_asked_for(capsys):
    out = said(capsys, *TINY, "--model.init_args.optimizer=engine.optim.muon.MuonAdamW")
    assert re.search(r"^zero2 +8 +refused: .*flat parts", out, re.M)
    assert "fits: ddp on 8, fsdp2 on 8" in out


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER)
def test_every_config_of_a_papers_size_is_counted_without_weights_or_data(name, capsys):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    config = str(CONFIGS / f"{name}.yaml")
    out = said(capsys, "estimate", "--config", config, "--strategy", "ddp", "--suggest=false")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500 * 1024, f"{grown / 1024:.0f} MB were allocated"
    assert "could not be run on paper" not in out
    trained, frozen = PAPER[name]
    assert number(out, r"parameters: [\d,]+: ([\d,]+) trained") / 1e6 == pytest.approx(
        trained, rel=0.01
    )
    assert number(out, r"([\d,]+) frozen") / 1e6 == pytest.approx(frozen, abs=1)


def test_changes_that_make_a_config_fit_are_estimated_before_they_are_given(capsys):
    small = ["--gpu", "a10g", "--reserve", "0.995", "--devices", "2", "--strategy", "ddp"]
    out = said(capsys, *TINY, *small)  # of 24 GB, 120 MB count
    assert "fits: none of them" in out
    assert "more GPUs alone do not help" in out
    option = "--model.init_args.network.init_args.activation_checkpointing true"
    told = number(out, rf"{option}: ([\d.]+) GiB a GPU$")
    after = said(capsys, *TINY, *small, *option.split())
    assert number(after, r"^ddp +2 .* ([\d.]+) +- +[\d.]+ +yes") == told


@pytest.mark.slow
def test_a_model_that_nobody_knows_is_counted_by_a_shape_of_the_users(tmp_path, capsys):
    args = ["estimate", "--config", str(CONFIGS / "causal_lm/llama3_8b_lora.yaml")]
    args += [f"--model.init_args.network.init_args.source={tmp_path / 'ours' / 'own'}"]
    with refused(r"own is not here.*own/config.json, .*--shapes FOLDER"):
        main(args)
    shape = CONFIGS.parent / "assets" / "shapes" / "Llama-2-7b-chat-hf" / "config.json"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text(
        shape.read_text().replace("32000", "128256")  # as many tokens as the tokenizer has
    )
    out = said(capsys, *args, "--shapes", f"[{tmp_path}]", "--strategy", "ddp")
    wanted = 6_738_415_616 + 2 * (128_256 - 32_000) * 4096  # Llama-2-7B's, and longer tables
    assert f"{wanted:,} frozen" in out
