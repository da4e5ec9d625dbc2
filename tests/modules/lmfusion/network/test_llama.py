import copy
from contextlib import nullcontext

import pytest
import torch
from transformers import AutoModelForCausalLM

from modules.lmfusion.network.fusion import BOI, EOI
from modules.lmfusion.network.llama import BesideLlama
from modules.lmfusion.network.mask import PREFIX, Runs
from modules.lmfusion.network.patchify import LinearPatchifier
from modules.lmfusion.system import LMFusion
from tests.fixtures.lmfusion_parts import VOCABULARY, arrange, llama
from tests.fixtures.lmfusion_small_run import noise_of_each_image, rows, write_config, write_llama
from tests.fixtures.runs import fit, fit_on_ranks, weights

PRECISIONS = {
    "32-true": (torch.float32, nullcontext),
    "bf16-mixed": (torch.float32, lambda: torch.autocast("cpu", torch.bfloat16)),
    "bf16-true": (torch.bfloat16, nullcontext),
}


@pytest.fixture
def folder(tmp_path):
    llama().save_pretrained(tmp_path)
    return str(tmp_path)


def beside_llama(folder, dtype=torch.float32, separation="deep"):
    """A network as Lightning builds it in a precision: under a default dtype, then cast."""
    torch.set_default_dtype(dtype)
    try:
        network = BesideLlama(
            folder,
            lambda width: LinearPatchifier(width, 8, 3, 2),
            separation,
            text_dtype="bfloat16",
        )
    finally:
        torch.set_default_dtype(torch.float32)
    network = network if dtype == torch.float32 else network.to(dtype)
    torch.manual_seed(1)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.1
    return network


@pytest.mark.parametrize("precision", PRECISIONS)
def test_frozen_text_in_bfloat16_has_the_logits_of_the_model_in_bfloat16(folder, precision):
    dtype, context = PRECISIONS[precision]
    network = beside_llama(folder, dtype)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    token = torch.randint(VOCABULARY, (1, 100))
    none = torch.zeros(0, 3, 8, 8, dtype=dtype), torch.zeros(0)
    with torch.no_grad(), context():
        runs = Runs([PREFIX], [0], [100])
        out = network(token[0], torch.arange(100), *none, runs, read_prefix=True)
        logits = network.logits(out.prefix_WD)[:, :VOCABULARY]
    with torch.no_grad():
        assert torch.equal(logits, model(token).logits[0])


@pytest.mark.parametrize("separation", ["deep", "shallow", "none"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_frozen_text_is_in_bfloat16_and_all_the_rest_gets_gradients(
    folder, precision, separation
):
    dtype, context = PRECISIONS[precision]
    network = beside_llama(folder, dtype, separation)
    text = {id(p) for p in network.text_parameters()}
    for name, parameter in network.named_parameters():
        wanted = torch.bfloat16 if id(parameter) in text else dtype
        assert parameter.dtype == wanted, name
    token, position, runs = arrange([[3, 4, 5, BOI, (0,), EOI, 6, 7]], 16)
    with context():
        latent = torch.randn(1, 3, 8, 8, dtype=dtype)
        out = network(token, position, latent, torch.tensor([10]), runs, read_prefix=True)
        logits = network.logits(torch.cat([out.prefix_WD, out.later_LD]))
        (logits.float().square().mean() + out.noise_ICHW.float().square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in text), name


@pytest.mark.parametrize("precision", PRECISIONS)
def test_half_precision_text_stays_near_full_precision(folder, precision):
    dtype, context = PRECISIONS[precision]
    network = beside_llama(folder, dtype)
    exact = copy.deepcopy(network).double()
    token, position, runs = arrange([[3, 4, 5, BOI, (0,), EOI, 6, 7]], 16)
    latent, step = torch.randn(1, 3, 8, 8).to(dtype), torch.tensor([10])
    with torch.no_grad():
        with context():
            out = network(token, position, latent, step, runs)
        wanted = exact(token, position, latent.double(), step, runs)
    for half, double in ((out.noise_ICHW, wanted.noise_ICHW), (out.later_LD, wanted.later_LD)):
        assert (half.double() - double).norm() < 0.03 * double.norm()


def test_a_type_for_text_that_is_trained_is_refused(folder):
    with pytest.raises(ValueError, match="text_dtype is bfloat16, but freeze_text is false"):
        BesideLlama(folder, lambda width: None, freeze_text=False, text_dtype="bfloat16")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_shards_of_both_types_train_as_one_process(
    precision, tmp_path, tokenizer_folder, monkeypatch
):
    monkeypatch.setattr(LMFusion, "noise", noise_of_each_image)
    config = write_config(tmp_path, write_llama(tmp_path / "llama"), tokenizer_folder)
    kept = "--model.init_args.network.init_args.text_dtype=bfloat16"
    extra = [kept, f"--trainer.precision={precision}"]
    alone = fit(config, *extra)
    layers = ["--config=configs/strategy/fsdp2.yaml", "--data.init_args.batch_size=2"]
    together = fit_on_ranks(config, 2, *extra, *layers)
    for name in ("train/loss", "train/image", "train/text"):
        assert rows(together, name) == pytest.approx(rows(alone, name), rel=1e-2), name
    for run in (alone, together):
        assert {value.dtype for value in weights(run).values()} == {torch.float32}
