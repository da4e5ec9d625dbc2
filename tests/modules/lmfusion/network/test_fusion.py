import copy

import pytest
import torch

from modules.lmfusion.network.fusion import BOI, FusionNetwork
from modules.lmfusion.network.mask import PREFIX, Runs
from modules.lmfusion.network.text_model import TextParts
from tests.fixtures.lmfusion_parts import (
    DOCUMENTS,
    VOCABULARY,
    arrange,
    fusion,
    linear,
    llama,
    token_by_token,
    unet,
    with_exact_norms,
)

STEP = torch.tensor([10, 200, 0, 900])
EVERY = [("deep", True), ("deep", False), ("shallow", True), ("none", False)]


def latents() -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randn(4, 3, 8, 8, dtype=torch.float64)


def outputs(network, documents=DOCUMENTS, latent=None, step=STEP):
    """Hidden text in the order of the batch, and the predictions for the images."""
    token, position, runs = arrange(documents, network.patchifier.num_patches)
    latent = latents() if latent is None else latent
    out = network(token, position, latent, step, runs, read_prefix=True)
    return torch.cat([out.prefix_WD, out.later_LD]), out.noise_ICHW


def expected(network):
    texts, noise = token_by_token(network, DOCUMENTS, latents(), STEP)
    cut = [doc.index(BOI) if BOI in doc else len(doc) for doc in DOCUMENTS]
    pairs = list(zip(texts, cut, strict=True))
    return torch.cat([t[:c] for t, c in pairs] + [t[c:] for t, c in pairs]), noise


@pytest.mark.parametrize("patchifier", [linear, unet])
@pytest.mark.parametrize(("separation", "freeze_text"), EVERY)
def test_every_document_is_what_it_is_token_by_token(patchifier, separation, freeze_text):
    network = fusion(patchifier(), separation=separation, freeze_text=freeze_text)
    (text, noise), (want_text, want_noise) = outputs(network), expected(network)
    torch.testing.assert_close(text, want_text, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(noise, want_noise, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation_checkpointing", [False, True])
@pytest.mark.parametrize(("separation", "freeze_text"), EVERY)
def test_gradients_are_those_token_by_token(separation, freeze_text, activation_checkpointing):
    network = fusion(
        separation=separation,
        freeze_text=freeze_text,
        activation_checkpointing=activation_checkpointing,
    )
    trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
    torch.manual_seed(3)
    weight = None
    gradients = []
    for text, noise in (outputs(network), expected(network)):
        weight = weight or (torch.randn_like(text), torch.randn_like(noise))
        total = (text * weight[0]).sum() + (noise * weight[1]).sum()
        gradients.append(torch.autograd.grad(total, list(trained.values()), allow_unused=True))
    for name, ours, wanted in zip(trained, *gradients, strict=True):
        if wanted is None:
            assert ours is None, name
        else:
            torch.testing.assert_close(ours, wanted, rtol=1e-8, atol=1e-8, msg=name)


def test_packed_documents_are_those_run_alone():
    network = fusion()
    text, noise = outputs(network)
    token, _, _ = arrange(DOCUMENTS, 16)
    alone, images = [], []
    for document in DOCUMENTS:
        numbers = [e[0] for e in document if isinstance(e, tuple)]
        own = [(numbers.index(e[0]),) if isinstance(e, tuple) else e for e in document]
        latent = latents()[numbers]
        alone.append(outputs(network, [own], latent, STEP[numbers])[0])
        images.append(outputs(network, [own], latent, STEP[numbers])[1])
    cut = [doc.index(BOI) if BOI in doc else len(doc) for doc in DOCUMENTS]
    pairs = list(zip(alone, cut, strict=True))
    together = torch.cat([t[:c] for t, c in pairs] + [t[c:] for t, c in pairs])
    assert len(together) == len(token)
    torch.testing.assert_close(text, together, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(noise, torch.cat(images), rtol=1e-10, atol=1e-10)


def test_text_alone_has_the_language_models_logits_to_the_last_bit():
    model = llama()
    network = FusionNetwork(TextParts.of(copy.deepcopy(model)), linear())
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert "text" not in name
            parameter.data = torch.randn_like(parameter)
    token = torch.randint(VOCABULARY, (1, 40))
    runs = Runs([PREFIX], [0], [40])
    with torch.no_grad():
        wanted = model(token).logits[0]
        none = torch.zeros(0, 3, 8, 8), torch.zeros(0)
        out = network(token[0], torch.arange(40), *none, runs, read_prefix=True)
        logits = network.logits(out.prefix_WD)
    assert torch.equal(logits[:, :VOCABULARY], wanted)


def test_the_image_path_is_at_first_the_language_model():
    model = llama()
    network = FusionNetwork(TextParts.of(copy.deepcopy(model)), linear())
    token = torch.randint(VOCABULARY, (20,))
    with torch.no_grad():
        x = network.embed(token)
        cos, sin = network.rotary(x, torch.arange(20)[None])
        for block in network.blocks:
            path = block.image_path
            q, k, v = path.project(x, (cos[0], sin[0]))
            q, k, v = (a.transpose(0, 1) for a in (q, *(b.repeat_interleave(2, 1) for b in (k, v))))
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = path.finish(x, out.transpose(0, 1))
        logits = network.head(network.image_norm(x))
        wanted = model(token[None]).logits[0]
    torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=1e-5)


def test_a_frozen_text_path_gets_no_gradient_and_the_prefix_saves_nothing():
    network = fusion()
    text, noise = outputs(network)
    (text.sum() + noise.sum()).backward()
    frozen = [n for n, p in network.named_parameters() if not p.requires_grad]
    assert any("blocks.0.text" in name for name in frozen)
    assert all(p.grad is None for p in network.parameters() if not p.requires_grad)
    token, position, runs = arrange([[3, 4, 5]], 16)
    none = torch.zeros(0, 3, 8, 8), torch.zeros(0)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t), lambda t: t):
        network(token, position, *none, runs)
    weights = {p.data_ptr() for p in network.parameters()}
    assert [t.shape for t in saved if t.numel() > 0 and t.data_ptr() not in weights] == []


def test_what_a_caption_says_reaches_the_image_before_it_through_frozen_text():
    network = with_exact_norms(fusion())
    document = [1, BOI, (0,), -2, 9, 8, 7]
    latent, step = latents()[:1], STEP[:1]
    weight = network.blocks[0].image.mlp.up_proj.weight

    def loss():
        text, _ = outputs(network, [document], latent, step)
        return network.logits(text)[:, 9].sum()

    (gradient,) = torch.autograd.grad(loss(), [weight])
    assert gradient.abs().max() > 0
    place = divmod(int(gradient.abs().argmax()), weight.shape[1])
    small = 1e-6
    with torch.no_grad():
        weight[place] += small
        above = loss()
        weight[place] -= 2 * small
        below = loss()
    torch.testing.assert_close((above - below) / (2 * small), gradient[place], rtol=1e-5, atol=1e-7)


def test_another_kind_of_block_is_refused_by_name():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8))
    with pytest.raises(ValueError, match="GPT2LMHeadModel is no Llama-like model"):
        TextParts.of(model)
