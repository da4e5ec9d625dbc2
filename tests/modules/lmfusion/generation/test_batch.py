import pytest
import torch
from transformers import AutoTokenizer

from modules.diffusion.guidance import Guidance
from modules.diffusion.schedule import CosineSchedule
from modules.lmfusion.generation.batch import GenerationPipeline, answer
from modules.lmfusion.generation.decode_latents import Pixels
from modules.lmfusion.generation.generate import DocumentPrompt, Generation
from tests.fixtures.lmfusion_parts import fusion

SHAPE = (3, 8, 8)
HOW = Generation(num_steps=3, guidance=Guidance(2.0), max_new_tokens=4)
SAMPLER = HOW.sampler(CosineSchedule(), "v")


def prompt(number, segments, want):
    return DocumentPrompt(name=str(number), number=number, segments=segments, want=want)


def mixed():
    image = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    text = torch.tensor([1, 5, 6])
    return [
        prompt(0, [text], "image"),
        prompt(1, [text[:1], image], "text"),
        prompt(2, [text[:2]], "image"),
        prompt(3, [text[:1], image, text[1:]], "image"),
        prompt(4, [text], "text"),
        prompt(5, [text], "both"),
    ]


def test_each_prompt_gets_its_own_answer_whatever_stands_beside_it():
    network, prompts = fusion(), mixed()
    together = answer(network, prompts, SHAPE, SAMPLER, HOW, 49)
    assert [parts[0].ndim for parts in together] == [3, 1, 3, 3, 1, 1]
    for request, parts in zip(prompts, together, strict=True):
        alone = answer(network, [request], SHAPE, SAMPLER, HOW, 49)[0]
        assert len(parts) == len(alone)
        for a, b in zip(parts, alone, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_noise_is_decided_by_the_prompts_number_and_the_seed():
    network, text = fusion(), [torch.tensor([1, 5])]
    first, second = (
        answer(network, [prompt(n, text, "image")], SHAPE, SAMPLER, HOW, 49)[0][0] for n in (0, 1)
    )
    both = [prompt(n, text, "image") for n in (1, 0)]
    images = [parts[0] for parts in answer(network, both, SHAPE, SAMPLER, HOW, 49)]
    torch.testing.assert_close(
        torch.stack(images), torch.stack([second, first]), rtol=1e-4, atol=1e-4
    )
    assert (first - second).abs().max() > 1e-2


def test_nothing_is_asked_nothing_is_answered():
    assert answer(fusion(), [], SHAPE, SAMPLER, HOW, 49) == []


@pytest.fixture
def pipeline(tokenizer_folder):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    return GenerationPipeline(fusion(), tokenizer, Pixels(), SAMPLER, HOW)


def test_records_show_prompt_and_continuation_as_text_and_images(pipeline):
    image = torch.zeros(SHAPE)
    ids = torch.tensor([pipeline.tokenizer.eos_token_id, *pipeline.tokenizer.encode("The cat")])
    assert pipeline.shown([ids, image, ids[:1]])[0] == "The cat"
    assert [type(part) for part in pipeline.shown([ids, image, ids[:1]])] == [str, torch.Tensor]
    [record] = pipeline.records([prompt(7, [torch.tensor([1, 5]), image], "image")])
    assert list(record) == ["name", "prompt", "continuation"]
    assert record["name"] == "7"
    assert (record["prompt"][1].dtype, record["prompt"][1].shape) == (torch.uint8, (8, 8, 3))
    assert record["prompt"][1].unique().tolist() == [128]
    assert record["continuation"][0].shape == (8, 8, 3)


def test_pixels_are_bytes_clipped_at_black_and_white():
    latent = torch.tensor([-3.0, -1.0, 0.0, 1.0]).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    assert Pixels().of(latent)[0, 0, :, 0].tolist() == [0, 0, 128, 255]


def test_latents_that_are_no_images_ask_for_their_autoencoder():
    with pytest.raises(ValueError, match=r"latents of 4 channels .* model.init_args.vae"):
        Pixels().of(torch.zeros(1, 4, 2, 2))


def test_latents_are_decoded_by_the_autoencoder_that_made_them(tmp_path):
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    blocks = {
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
    }
    sizes = {"block_out_channels": [8, 8], "norm_num_groups": 4, "latent_channels": 4}
    model = AutoencoderKL(**blocks, **sizes, scaling_factor=0.5, shift_factor=0.25).eval()
    model.save_pretrained(tmp_path / "vae")
    latent = torch.randn(2, 4, 4, 4)
    with torch.no_grad():
        pixel = model.decode(latent / 0.5 + 0.25).sample
    pixels = Pixels(str(tmp_path / "vae"))
    expected = ((pixel.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
    with torch.autocast("cpu", torch.bfloat16):
        decoded = pixels.of(latent)
    assert decoded.shape == (2, 8, 8, 3)
    assert (decoded.int() - expected.int()).abs().max() <= 1
    with pytest.raises(FileNotFoundError, match="no AutoencoderKL folder"):
        Pixels(str(tmp_path / "nothing")).of(latent)
