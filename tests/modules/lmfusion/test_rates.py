"""Learning rates of text and images (LMFusion, sec. 5.1)."""

import pytest
import torch

from engine.optim.schedules import WarmupCosine
from modules.lmfusion.system import LMFusion
from tests.fixtures.lmfusion_parts import fusion

KINDS = [("none", False), ("shallow", False), ("deep", False), ("shallow", True), ("none", True)]


def system(separation, freeze_text, ratio=0.1):
    made = LMFusion(
        lambda: fusion(separation=separation, freeze_text=freeze_text).float(),
        tokenizer="",
        text_ratio=ratio,
        optimizer=lambda groups: torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.1),
        scheduler=lambda optimizer: WarmupCosine(optimizer, 10, 2),
    )
    made.configure_model()
    return made


@pytest.mark.parametrize(("separation", "freeze_text"), KINDS)
def test_every_trainable_parameter_is_in_one_group(separation, freeze_text):
    made = system(separation, freeze_text)
    grouped = [id(p) for group in made.parameter_groups() for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in made.parameters() if p.requires_grad}


@pytest.mark.parametrize(("separation", "freeze_text"), KINDS)
def test_text_goes_at_the_ratio_of_the_images_rate_all_the_way(separation, freeze_text):
    made = system(separation, freeze_text)
    configured = made.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    text = {id(p) for p in made.fusion.text_parameters()}
    whole = WarmupCosine(torch.optim.SGD([torch.zeros(1)], lr=1e-3), 10, 2)
    for _ in range(12):
        rate = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
        (expected,) = whole.get_last_lr()
        for name, p in made.named_parameters():
            if not p.requires_grad:
                assert id(p) not in rate, name
            else:
                share = 0.1 if id(p) in text else 1.0
                assert rate[id(p)] == pytest.approx(share * expected, rel=1e-12), name
        for each in (optimizer, scheduler, whole.optimizer, whole):
            each.step()


def test_shallow_separation_counts_attention_as_text_and_the_images_ffn_as_image():
    made = system("shallow", False)
    text = {id(p) for p in made.fusion.text_parameters()}
    names = {n: id(p) in text for n, p in made.fusion.named_parameters()}
    assert names["blocks.0.text.self_attn.q_proj.weight"]
    assert names["blocks.0.text.mlp.up_proj.weight"]
    assert names["embed.weight"]
    assert names["head.weight"]
    assert not names["blocks.0.image.mlp.up_proj.weight"]
    assert not any(names[n] for n in names if n.startswith("patchifier"))
    assert not any("image.self_attn" in n for n in names)


def test_a_ratio_slows_text_only():
    moved = {}
    for ratio in (1.0, 0.1):
        made = system("none", False, ratio)
        optimizer = made.configure_optimizers()["optimizer"]
        before = {n: p.detach().clone() for n, p in made.named_parameters()}
        for p in made.parameters():
            p.grad = torch.ones_like(p)
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0
        optimizer.step()
        moved[ratio] = {n: (p - before[n]).abs().mean().item() for n, p in made.named_parameters()}
    text = {n for n in moved[1.0] if "text" in n or n.startswith(("network.embed", "network.head"))}
    for name in moved[1.0]:
        share = 0.1 if name in text or name == "network.norm.weight" else 1.0
        assert moved[0.1][name] == pytest.approx(share * moved[1.0][name], rel=1e-2), name
