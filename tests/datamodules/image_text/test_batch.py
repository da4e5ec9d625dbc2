import numpy as np
import pytest
import torch

from datamodules.image_text.batch import DocumentImage, ImageTextDocument, collate, length

N = 4
SHAPE = (3, 2, 2)
BOI, EOI, IGNORE = -1, -2, -100


def image(value: float, is_target: bool = True, is_first: bool = False) -> DocumentImage:
    return DocumentImage(np.full(SHAPE, value, np.float32), is_target, is_first)


DOCUMENTS: list[ImageTextDocument] = [
    [[0], [11, 12, 13], image(0.0)],
    [[0], image(1.0, is_first=True), [21, 22], [9]],
    [[0], [31, 32], [9]],
    [[0], image(2.0, False), [41], image(3.0), image(4.0), [42, 43], [9]],
    [[0], image(5.0)],
]
REAL = [7, 3, 0, 5, 2]


def plain(documents: list[ImageTextDocument], rows: list[int]) -> dict[str, list[object]]:
    """The contract, one element at a time: text before images, prefix text before later text."""
    groups: list[list[dict[str, int]]] = [[], [], []]
    runs: list[list[int]] = []
    images, number = [], -1
    for d, document in enumerate(documents):
        sequence: list[tuple[object, int, int]] = []  # element, kind, image
        kind = 0
        for segment in document:
            if isinstance(segment, list):
                sequence += [(token, kind, -1) for token in segment]
            else:
                number, kind = number + 1, 1
                images.append((segment, rows[d] >= 0))
                patches = [("patch", 2, number)] * N
                sequence += [(BOI, 1, -1), *patches, (EOI, 1, -1)]
        if sequence[-1][0] == EOI:
            sequence.pop()
        for i, (element, kind, of) in enumerate(sequence):
            following = sequence[i + 1][0] if i + 1 < len(sequence) else IGNORE
            label = following if following != "patch" and rows[d] >= 0 else IGNORE
            entry = {"token": element, "label": label, "position": i, "document": d, "image": of}
            groups[kind].append(entry)
            if runs and runs[-1][:2] == [kind, d] and i > 0:
                runs[-1][2] += 1
            else:
                runs.append([kind, d, 1])
    text, every = groups[0] + groups[1], groups[0] + groups[1] + groups[2]
    counted = [[e["label"] != IGNORE for e in group].count(True) for group in groups[:2]]
    targets = [i.is_target and real for i, real in images]
    return {
        "token_T": [e["token"] for e in text],
        "label_T": [e["label"] for e in text],
        "position_S": [e["position"] for e in every],
        "document_S": [e["document"] for e in every],
        "image_id_S": [e["image"] for e in every],
        "latent_ICHW": [i.latent_CHW.tolist() for i, _ in images],
        "is_target_I": targets,
        "is_first_I": [i.is_first for i, _ in images],
        "num_read": sum(t and i.is_first for t, (i, _) in zip(targets, images, strict=True)),
        "kind_N": [run[0] for run in runs],
        "document_N": [run[1] for run in runs],
        "length_N": [run[2] for run in runs],
        "num_prefix": len(groups[0]),
        "num_targets": {"text": sum(counted), "later": counted[1], "image": sum(targets)},
        "row_D": rows,
    }


def as_lists(batch: dict[str, object]) -> dict[str, object]:
    return {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


@pytest.mark.parametrize("rows", [REAL, [7, 3, -1, -1, 2]], ids=["real", "with padding"])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2], [2, 2], [3, 3, 0]])
def test_a_batch_is_that_of_the_plain_loop(order, rows):
    documents, rows = [DOCUMENTS[i] for i in order], [rows[i] for i in order]
    batch = collate(documents, rows, N, SHAPE)
    assert as_lists(batch) == plain(documents, rows)
    assert sum(batch["length_N"]) == sum(length(document, N) for document in documents)


def test_a_caption_and_its_image_in_plain_numbers():
    batch = as_lists(collate([DOCUMENTS[0]], [0], N, SHAPE))
    assert batch["token_T"] == [0, 11, 12, 13, BOI]
    assert batch["label_T"] == [11, 12, 13, BOI, IGNORE]
    assert batch["position_S"] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert batch["image_id_S"] == [-1] * 5 + [0] * 4
    assert (batch["kind_N"], batch["length_N"]) == ([0, 1, 2], [4, 1, 4])
    assert batch["num_targets"] == {"text": 4, "later": 0, "image": 1}


def test_dtypes_and_an_empty_stack_without_images():
    batch = collate([DOCUMENTS[2]], [0], N, SHAPE)
    assert batch["latent_ICHW"].shape == (0, *SHAPE)
    assert batch["latent_ICHW"].dtype == torch.float32
    assert batch["is_target_I"].dtype == batch["is_first_I"].dtype == torch.bool
    for name in ("token_T", "label_T", "position_S", "document_S", "image_id_S"):
        assert batch[name].dtype == torch.int64
