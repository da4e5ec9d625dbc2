"""Forms of documents: order of captions and images, dropped captions, context and targets."""

import json
from collections import Counter
from random import Random

import pytest

from datamodules.image_text.datamodule import ImageTextData
from datamodules.images.interleaved import InterleavedJsonl
from datamodules.synthetic.shapes.source import ShapePairs
from datamodules.text.tokenizer import load_tokenizer
from tests.fixtures.image_text import BOI, EOI, ready
from tests.fixtures.images import write_folder


def orders(data: ImageTextData, epochs: int) -> Counter[str]:
    """How often each form of a document came, by the kinds of its runs."""
    forms: Counter[str] = Counter()
    stream = data.train_dataloader()
    for batch in (batch for _ in range(epochs) for batch in stream):
        runs = [[] for _ in batch["row_D"]]
        for kind, document, size in zip(
            batch["kind_N"], batch["document_N"], batch["length_N"], strict=True
        ):
            runs[document].append("ptI"[kind] + str(size))
        forms.update("text" if r[0] != "p1" else "image" + r[-1][0] for r in runs)
    return forms


def test_caption_order_and_dropout_have_their_rates_and_change_from_epoch_to_epoch(make):
    data = ready(make(ShapePairs(60), batch_size=4, image_size=32, num_patches=4))
    forms = orders(data, 10)
    total = forms.total()
    dropped = forms["imageI"]
    first = forms["text"]
    assert total == 600
    assert first / total == pytest.approx(0.8 * 0.9, abs=0.06)
    assert dropped / total == pytest.approx(0.8 * 0.1, abs=0.04)
    stream = data.train_dataloader()
    seen: dict[int, set[tuple[int, ...]]] = {}
    for _ in range(3):
        for batch in stream:
            document_T = batch["document_S"][: len(batch["token_T"])]
            for d, row in enumerate(batch["row_D"]):
                own = batch["token_T"][document_T == d].tolist()
                seen.setdefault(row, set()).add(tuple(own))
    assert len(seen) == 60
    assert sum(len(forms) > 1 for forms in seen.values()) > 30


def test_interleaved_documents_keep_their_order(make, tmp_path):
    write_folder(tmp_path, num=2)
    segments = [{"image": "0.png"}, {"text": "make it red"}, {"generate": "1.png"}]
    (tmp_path / "edits.jsonl").write_text(json.dumps({"segments": segments}) + "\n")
    data = ready(make(InterleavedJsonl(str(tmp_path / "edits.jsonl")), batch_size=1))
    vocabulary = load_tokenizer(data.tokenizer)
    [ids] = vocabulary.encode(["make it red"])
    for batch in data.train_dataloader():
        assert batch["token_T"].tolist() == [vocabulary.start, BOI, EOI, *ids, BOI]
        assert batch["is_target_I"].tolist() == [False, True]
        assert batch["is_first_I"].tolist() == [True, False]


def forms(data: ImageTextData, *sources: object) -> Counter[str]:
    """How often each form of one document comes in 400 draws: T = text, i = context, I = target."""
    composer, counts = ready(data)._composer("train"), Counter()
    for number in range(400):
        rng = Random(number)
        document = composer.document(sources[0].sample(0, rng), rng)
        letters = ["T" if isinstance(s, list) else "iI"[s.is_target] for s in document[1:]]
        counts["".join(letters)] += 1
    return counts


def test_an_image_before_its_caption_is_clean_context_where_asked_for(make):
    counts = forms(make(ShapePairs(1), image_size=32, image_first="clean"), ShapePairs(1))
    assert {*counts} == {"TI", "I", "iTT"}  # the end token is a text of its own
    assert counts["iTT"] / 400 == pytest.approx(0.2, abs=0.06)
    options = {"image_first": "clean", "caption_first": 0.0, "batch_size": 1}
    data = ready(make(ShapePairs(1), image_size=32, **options))
    batch = next(iter(data.train_dataloader()))
    assert batch["is_target_I"].tolist() == [False]
    assert (batch["num_read"], batch["num_targets"]["image"]) == (0, 0)


def test_captions_are_dropped_for_edits_as_well(make, tmp_path):
    write_folder(tmp_path, num=2)
    edit = [{"image": "0.png"}, {"text": "make it red"}, {"generate": "1.png"}]
    captioned = [{"image": "0.png"}, {"text": "a red disc"}]
    for segments, expected in ((edit, {"iTI": 0.75, "iI": 0.25}), (captioned, {"iTT": 1.0})):
        (tmp_path / "page.jsonl").write_text(json.dumps({"segments": segments}) + "\n")
        source = InterleavedJsonl(str(tmp_path / "page.jsonl"))
        counts = forms(make(source, caption_dropout=0.25), source)
        assert {*counts} == {*expected}
        for form, share in expected.items():
            assert counts[form] / 400 == pytest.approx(share, abs=0.07)
