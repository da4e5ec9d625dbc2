import pytest
import torch

from engine.disk.tensors import check_size, read_tensors, write_tensors


@pytest.mark.parametrize("size", ["5GB", "300KB"])
def test_tensors_come_back_as_they_were_in_one_file_or_several(tmp_path, size):
    torch.manual_seed(0)
    shared = torch.randn(100, 100)
    tensors = {"a": shared, "b": shared, "c": torch.randn(300, 200).T, "d": torch.tensor(3)}
    write_tensors(tensors, tmp_path, size)
    found = read_tensors(tmp_path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    assert len(list(tmp_path.glob("*.safetensors"))) == (1 if size == "5GB" else 2)


def test_a_missing_or_damaged_file_is_named_and_no_file_is_no_tensor(tmp_path):
    assert read_tensors(tmp_path) == {}
    write_tensors({"a": torch.ones(9)}, tmp_path)
    (tmp_path / "state.safetensors").write_bytes(b"xx")
    with pytest.raises(ValueError, match=r"state\.safetensors cannot be read"):
        read_tensors(tmp_path)
    (tmp_path / "state.safetensors.index.json").write_text("[]")
    with pytest.raises(ValueError, match=r"index\.json is no index of tensors"):
        read_tensors(tmp_path)


@pytest.mark.parametrize("size", ["5", "GB", "-1GB", "0GB", "5GB of weights"])
def test_what_is_no_size_of_a_file_is_refused(size):
    check_size("1.5MB")
    with pytest.raises(ValueError, match="max_shard_size is a size such as 5GB"):
        check_size(size)
