import torch

from cli import main
from modules.causal_lm.network import LanguageModel
from tests.fixtures.runs import refused


def asked(tmp_path, config="icl/tiny"):
    return [
        "doctor",
        f"--config=configs/{config}.yaml",
        "--trainer.accelerator=cpu",
        f"--trainer.logger.init_args.root={tmp_path}",
    ]


def test_a_sound_model_is_found_sound_by_every_kernel_and_dtype(tmp_path, capsys):
    main(asked(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert "examining assets/patterns_theta_0" in lines
    found = [line.split() for line in lines if line.startswith(("float32", "bfloat16"))]
    checked = [line for line in found if "available:" not in line]
    assert {tuple(line[:4]) for line in checked} == {
        (dtype, kernel, quantity, "ok")
        for dtype in ("float32", "bfloat16")
        for kernel in ("documents", "sdpa", "eager")
        for quantity in ("loss", "product", "norm")
    }
    missing = [" ".join(line) for line in found if line not in checked]
    reason = "not available: it needs a GPU, the model is on cpu"
    assert missing == [f"{d} flash_attention_2 {reason}" for d in ("float32", "bfloat16")]
    assert "all 18 checks agree" in lines


def test_documents_that_see_one_another_are_reported(tmp_path, capsys, monkeypatch):
    """Every row is read as one document, so that packed ones and padding are not masked."""
    run = LanguageModel._run

    def leaking(self, model, token, position, length, **options):
        whole = torch.arange(token.shape[1]).expand_as(token)
        return run(self, model, token, whole, [token.shape[1]] * len(token), **options)

    monkeypatch.setattr(LanguageModel, "_run", leaking)
    with refused("18 of 18 checks differ by more than rounding may make"):
        main(asked(tmp_path))
    assert "loss    differs" in capsys.readouterr().out


def test_a_system_that_cannot_be_examined_is_refused(tmp_path):
    with refused(r"CausalLM has no check of its own: it has no examine\(\)"):
        main(asked(tmp_path, "causal_lm/tiny"))
