import torch

from modules.lmfusion.batch import ImageTextBatch
from modules.lmfusion.dummy_image import with_image
from modules.lmfusion.network.fusion import BOI


def batch_without_images():
    text = {
        name: torch.tensor(v) for name, v in (("token_T", [1, 5, 6]), ("label_T", [5, 6, -100]))
    }
    where = {"position_S": [0, 1, 2], "document_S": [0, 0, 0], "image_id_S": [-1, -1, -1]}
    none = {
        "is_target_I": torch.zeros(0, dtype=torch.bool),
        "is_first_I": torch.zeros(0, dtype=torch.bool),
        "num_read": 0,
    }
    count = {"text": 2, "later": 0, "image": 0}
    return {
        **text,
        **{name: torch.tensor(v) for name, v in where.items()},
        **none,
        "latent_ICHW": torch.zeros(0, 3, 8, 8),
        "kind_N": [0],
        "document_N": [0],
        "length_N": [3],
        "num_prefix": 3,
        "num_targets": count,
        "step_targets": count,
        "row_D": [4],
    }


def test_a_filler_keeps_the_contract_and_adds_no_target():
    batch = batch_without_images()
    filled = with_image(batch, (3, 8, 8), 4)
    assert {*filled} == {*ImageTextBatch.__annotations__}
    assert filled["token_T"].tolist() == [1, 5, 6, BOI]
    assert filled["label_T"].tolist() == [5, 6, -100, -100]
    assert filled["position_S"].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert filled["document_S"].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert filled["image_id_S"].tolist() == [-1, -1, -1, -1, 0, 0, 0, 0]
    assert (filled["kind_N"], filled["length_N"]) == ([0, 1, 2], [3, 1, 4])
    assert filled["is_target_I"].tolist() == [False]
    for name in ("num_prefix", "num_targets", "step_targets"):
        assert filled[name] == batch[name]
