"""The files of `assets/` do what their README says."""

from contextlib import suppress
from math import exp
from pathlib import Path

import pytest
import torch

from datamodules.synthetic.shapes.captions import AND, numbered_caption, parse
from datamodules.synthetic.shapes.facts import COLOURED
from datamodules.synthetic.shapes.scenes import COLOURS, FORMS, Shape
from datamodules.synthetic.stories.source import story

ASSETS = Path(__file__).parent.parent / "assets"
FOLDERS = sorted(path for path in ASSETS.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(ASSETS / "captions_bpe")


@pytest.fixture(scope="module")
def llama():
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(ASSETS / "captions_llama", dtype=torch.float32)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_asset_is_small_and_the_readme_says_where_it_is_from(folder):
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 2 * 2**20
    rows = (ASSETS / "README.md").read_text().splitlines()
    [row] = [
        row for row in rows if row.startswith("| `") and f"`{folder.name}`" in row.split("|")[1]
    ]
    is_written = "written by hand" in row
    assert is_written or any(f"--folder assets/{folder.name}" in line for line in rows)


def test_every_word_of_a_caption_is_one_token_and_any_text_comes_back(tokenizer):
    for index in range(500):
        text = numbered_caption(5, index)
        assert len(tokenizer.tokenize(text)) == len(text.split())
    for text in ("Grün, größer, 🎈!", "a\tB\n\x00", story(0, 0)):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_the_llama_brings_its_tokenizer(tokenizer, llama):
    theirs = (ASSETS / "captions_llama" / "tokenizer.json").read_bytes()
    assert theirs == (ASSETS / "captions_bpe" / "tokenizer.json").read_bytes()
    assert llama.config.vocab_size == len(tokenizer)


def perplexity(model, tokenizer, texts, ends=True):
    """Perplexity per token; without the end token for captions that may go on."""
    nats, num = 0.0, 0
    end = tokenizer.eos_token_id
    with torch.no_grad():
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False)
            token = torch.tensor([[end, *ids, *[end] * ends]])
            nats += model(token, labels=token).loss.item() * (token.shape[1] - 1)
            num += token.shape[1] - 1
    return exp(nats / num)


def test_the_llama_knows_captions_and_stories(tokenizer, llama):
    captions = [numbered_caption(2, index) for index in range(50)]
    assert perplexity(llama, tokenizer, captions, ends=False) < 2.5
    assert perplexity(llama, tokenizer, [story(2, index) for index in range(5)]) < 2.5


@pytest.mark.parametrize("start", ["a", "there is a", "on the left is", "a picture of a"])
def test_the_llama_writes_captions_of_all_kinds(start, tokenizer, llama):
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    token = torch.tensor([[end, *tokenizer.encode(start, add_special_tokens=False)]] * 50)
    made = llama.generate(token, do_sample=True, top_k=0, max_new_tokens=30, pad_token_id=end)
    parsed: list[tuple[Shape, ...]] = []
    for text in tokenizer.batch_decode(made, skip_special_tokens=True):
        with suppress(ValueError):
            first = text.split(".")[0]  # the scene allows a longer caption
            parsed.append(parse(AND.join(map(without_gloss, first.split(AND)))))
    assert len(parsed) >= 45
    assert {len(shapes) for shapes in parsed} >= {1, 2}
    assert {shape.colour for shapes in parsed for shape in shapes} == {*COLOURS}
    assert {shape.form for shapes in parsed for shape in shapes} == {*FORMS}


def without_gloss(clause):
    """A clause without the words after it; it must be complete by itself."""
    words = clause.split()
    for num in range(len(words), 0, -1):
        with suppress(ValueError):
            (shape,) = parse(" ".join(words[:num]))
            known = {shape.size, shape.colour, shape.form, *shape.place.split()}
            if {*words[num:]} <= known:
                return " ".join(words[:num])
    return clause


def test_the_llama_tells_words_apart_that_captions_use_alike(tokenizer, llama):
    end, right = tokenizer.eos_token_id, []
    for colour, things in COLOURED.items():
        for thing in things:
            said = tokenizer.encode(f"{thing} is {colour}", add_special_tokens=False)
            with torch.no_grad():
                logits = llama(torch.tensor([[end, *said[:-1]]])).logits[0, -1]
            right.append(int(logits.argmax()) == said[-1])
    assert sum(right) >= 0.9 * len(right)
