import pytest
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from modules.metrics.image.clip_score import ClipScore, clip_score

LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A CLIP of a few thousand random weights."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    tower = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    special = ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: number for number, token in enumerate([*LETTERS, *special])}
    text = {
        **tower,
        "vocab_size": len(vocab),
        "max_position_embeddings": 12,
        "bos_token_id": vocab[special[0]],
        "eos_token_id": vocab[special[1]],
    }
    vision = {**tower, "image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer(vocab=vocab, merges=[]).save_pretrained(folder)
    size = {"height": 16, "width": 16}
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=size).save_pretrained(folder)
    return folder


def images(num: int) -> torch.Tensor:
    return torch.rand(num, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def test_the_score_is_a_hundred_times_the_cosine_and_never_negative():
    image_BD = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    text_BD = torch.tensor([[2.0, 0.0], [4.0, 3.0], [-1.0, 0.0]])
    torch.testing.assert_close(clip_score(image_BD, text_BD), torch.tensor([100.0, 96.0, 0.0]))
    torch.testing.assert_close(clip_score(image_BD, text_BD, 2.5), torch.tensor([2.5, 2.4, 0.0]))


def test_scores_are_the_models_own_similarities(clip_folder):
    scorer = ClipScore(clip_folder)
    captions = ["a red ring", "blue"]
    level = (images(2) * 255).round().byte()
    inputs = scorer.tokenizer(captions, padding=True, return_tensors="pt")
    pixels = scorer.processor(list(level), return_tensors="pt")
    out = scorer.model(
        input_ids=inputs.input_ids,
        attention_mask=inputs.attention_mask,
        pixel_values=pixels.pixel_values,
    )
    expected = 100 * (out.image_embeds * out.text_embeds).sum(1).clamp(min=0)
    torch.testing.assert_close(scorer(images(2), captions), expected)


def test_pairs_do_not_depend_on_their_batch(clip_folder):
    scorer = ClipScore(clip_folder)
    captions = ["red", "a far longer caption", "ring"]
    together = scorer(images(3), captions)
    alone = [scorer(images(3)[i : i + 1], captions[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_captions_beyond_the_context_are_cut(clip_folder):
    assert ClipScore(clip_folder)(images(1), ["red " * 50]).shape == (1,)


def test_pairs_must_be_pairs(clip_folder):
    with pytest.raises(ValueError, match="1 captions for 2 images"):
        ClipScore(clip_folder)(images(2), ["red"])
