import numpy as np
import pytest
import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
)

from datamodules.image_text.batch import DocumentImage, collate
from modules.lmfusion.network.fusion import BOI, EOI, FusionNetwork
from modules.lmfusion.network.llava import BesideLlava
from modules.lmfusion.network.mask import PREFIX, Runs
from modules.lmfusion.network.patchify import LinearPatchifier
from modules.lmfusion.system import LMFusion
from tests.fixtures.lmfusion_parts import VOCABULARY, arrange, llama

PLACE = VOCABULARY - 1
KINDS = {"llava": {}, "llava_next": {"image_sizes": torch.tensor([[16, 16], [32, 16]])}}


def llava(kind):
    torch.manual_seed(0)
    text = LlamaConfig(**{k: v for k, v in llama().config.to_dict().items() if k != "model_type"})
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3}
    vision = CLIPVisionConfig(**sizes, num_attention_heads=4, image_size=16, patch_size=8)
    parts = {"text_config": text, "vision_config": vision, "image_token_index": PLACE}
    if kind == "llava":
        return LlavaForConditionalGeneration(LlavaConfig(**parts)).eval()
    config = LlavaNextConfig(**parts, image_grid_pinpoints=[[32, 16], [16, 16]])
    return LlavaNextForConditionalGeneration(config).eval()


def images(kind):
    """Two images, as the model's processor would give them."""
    torch.manual_seed(1)
    shape = (2, 3, 16, 16) if kind == "llava" else (2, 3, 3, 16, 16)
    return {"pixel_values": torch.randn(shape), **KINDS[kind]}


def num_features(model, inputs):
    return [len(features) for features in model.model.get_image_features(**inputs).pooler_output]


@pytest.fixture(params=KINDS)
def pair(request, tmp_path):
    """A LLaVA, our network with its weights, and images."""
    model = llava(request.param)
    model.save_pretrained(tmp_path)
    network = BesideLlava(str(tmp_path), lambda width: LinearPatchifier(width, 8, 3, 2))
    return model, network.train(), images(request.param)


def randomise(network):
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.3


def understood(model, inputs):
    """A question about two images, token by token."""
    first, second = num_features(model, inputs)
    return torch.tensor([1, 2, *[PLACE] * first, 3, *[PLACE] * second, 4, 5, 6])


def test_what_is_said_of_images_is_what_llava_says_to_the_last_bit(pair):
    model, network, inputs = pair
    token = understood(model, inputs)
    runs, position = Runs([PREFIX], [0], [len(token)]), torch.arange(len(token))
    none = torch.zeros(0, 3, 8, 8), torch.zeros(0)
    with torch.no_grad():
        wanted = model(token[None], **inputs).logits[0]
        for _ in range(2):
            out = network(token, position, *none, runs, read_prefix=True, vision_inputs=inputs)
            assert torch.equal(network.logits(out.prefix_WD)[:, :VOCABULARY], wanted)
            randomise(network)


def test_a_cache_may_be_fed_images_that_are_understood(pair):
    model, network, inputs = pair
    token = understood(model, inputs)
    with torch.no_grad():
        wanted = model(token[None], **inputs).logits[0]
        cache = network.empty_cache(1, len(token))
        hidden = [network.extend_text(token[None, :-2], cache, vision_inputs=inputs)]
        hidden += [network.extend_text(token_id[None, None], cache) for token_id in token[-2:]]
        logits = network.logits(torch.cat(hidden, 1)[0])[:, :VOCABULARY]
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-5)


def test_understood_images_stand_anywhere_among_drawn_ones(pair):
    """As if each of their features were a token of its own."""
    model, network, inputs = pair
    first, second = num_features(model, inputs)
    randomise(network)
    features = network.vision(inputs)
    places = [VOCABULARY + i for i in range(first + second)]
    documents = [
        [1, BOI, (0,), EOI, *places[first:], 5, 6],
        [1, *places[:first], 2, BOI, (1,), EOI, 7],
    ]
    token, position, runs = arrange(documents, 16)
    torch.manual_seed(2)
    drawn = torch.randn(2, 3, 8, 8), torch.tensor([10, 900])
    with torch.no_grad():
        as_text = token.where(token < VOCABULARY, PLACE)
        out = network(as_text, position, *drawn, runs, read_prefix=True, vision_inputs=inputs)
        network.embed.weight.data = torch.cat([network.embed.weight, features])
        wanted = FusionNetwork.forward(network, token, position, *drawn, runs, True)
    assert torch.equal(out.noise_ICHW, wanted.noise_ICHW)
    assert torch.equal(out.later_LD, wanted.later_LD)
    assert torch.equal(out.prefix_WD, wanted.prefix_WD)


def test_only_the_new_tower_is_trained_and_it_sees_what_llava_sees(pair):
    model, network, inputs = pair
    token = [*understood(model, inputs).tolist(), BOI, (0,)]
    token, position, runs = arrange([token], 16)
    network.patchifier.decode.weight.data.normal_()
    latent, step = torch.randn(1, 3, 8, 8), torch.tensor([500])
    noise = network(token, position, latent, step, runs, vision_inputs=inputs).noise_ICHW
    noise.square().sum().backward()
    assert all(p.grad is None for p in network.vision.parameters())
    assert all(p.grad is None for p in network.text_parameters())
    assert network.blocks[0].image.self_attn.k_proj.weight.grad.abs().max() > 0
    assert not network.vision.body.vision_tower.training
    other = inputs | {"pixel_values": -inputs["pixel_values"]}
    changed = network(token, position, latent, step, runs, vision_inputs=other).noise_ICHW
    assert (noise - changed).abs().max() > 1e-6


def test_a_batch_may_bring_images_that_are_understood(pair):
    model, network, inputs = pair
    randomise(network)
    system = LMFusion(lambda: network, tokenizer="")
    system.configure_model()
    image = DocumentImage(np.zeros((3, 8, 8), np.float32), True, False)
    document = [[1, 2], understood(model, inputs)[2:].tolist(), image]
    batch = collate([document], [0], 16, (3, 8, 8))
    noised = system.noise(batch, torch.Generator().manual_seed(0))
    noise = system.predict_noise(batch | {"vision_inputs": inputs}, noised).noise_ICHW
    where = batch["token_T"], batch["position_S"], noised.latent_ICHW, noised.step_I
    assert torch.equal(noise, network(*where, system.runs(batch), vision_inputs=inputs).noise_ICHW)
    assert not torch.equal(noise, system.predict_noise(batch, noised).noise_ICHW)


def test_features_without_a_place_are_refused(pair):
    model, network, inputs = pair
    token = understood(model, inputs)[1:-4]
    token[2] = 0
    with pytest.raises(ValueError, match=r"have \d+ features, but there are \d+ placeholder"):
        network.extend_text(token[None], network.empty_cache(1, len(token)), vision_inputs=inputs)


def test_a_model_that_does_not_see_is_refused(tmp_path):
    llama().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="not a LLaVA; for other models use"):
        BesideLlava(str(tmp_path), lambda width: LinearPatchifier(width, 8, 3, 2))
