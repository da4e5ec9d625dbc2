import importlib
from contextlib import suppress
from pathlib import Path

import lightning as L
import pytest
import torch

from engine.commands.export import refuse_to_export
from engine.export.check import drafted, refuse_difference


def test_a_draft_becomes_the_folder_or_nothing(tmp_path):
    with suppress(RuntimeError), drafted(tmp_path / "a") as draft:
        (draft / "file").touch()
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").mkdir()  # a folder that is there and empty is taken
    with drafted(tmp_path / "a") as draft:
        (draft / "file").touch()
        (draft / "inner").mkdir()
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"file", "inner"}
    with pytest.raises(FileExistsError, match="a is not empty"), drafted(tmp_path / "a"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


def test_files_of_an_export_are_readable_as_other_new_files_are(tmp_path):
    with drafted(tmp_path / "out") as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "weights").touch(mode=0o600)
    (tmp_path / "plain").touch()
    mode = (tmp_path / "out" / "inner" / "weights").stat().st_mode
    assert mode == (tmp_path / "plain").stat().st_mode


def test_a_linked_folder_is_filled_and_a_mount_point_refused(tmp_path, monkeypatch):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    with drafted(tmp_path / "link") as draft:
        (draft / "file").touch()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "file").exists()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    mount_point = pytest.raises(ValueError, match="disk is a mount point; give --folder a folder")
    with mount_point, drafted(tmp_path / "disk"):
        pass


@pytest.mark.parametrize(
    ("dtype", "rounding", "fault"),
    [(torch.float32, 1e-5, 0.01), (torch.bfloat16, 0.02, 0.2), (torch.float16, 1e-3, 0.05)],
)
def test_rounding_passes_and_faults_do_not(dtype, rounding, fault):
    model = torch.nn.Linear(2, 2).to(dtype)
    torch.manual_seed(0)
    wanted, noise = 3 * torch.randn(2, 1000).double()
    wanted += 5
    assert refuse_difference(wanted, wanted + rounding * noise, model) < 2 * rounding
    with pytest.raises(ValueError, match="outputs differ by"):
        refuse_difference(wanted, wanted + fault * noise, model)


def test_what_is_not_finite_any_more_is_a_fault():
    model, wanted = torch.nn.Linear(2, 2), torch.tensor([1.0, 2.0, -torch.inf])
    assert refuse_difference(wanted, wanted.clone(), model) == 0
    for logits in (torch.tensor([1.0, torch.nan, 0.0]), torch.tensor([torch.inf, 2.0, 0.0])):
        with pytest.raises(ValueError, match="outputs differ by"):
            refuse_difference(wanted, logits, model)
    with pytest.raises(ValueError, match=r"outputs are \(2,\) in place of \(3,\)"):
        refuse_difference(wanted, wanted[:2], model)
    with pytest.raises(ValueError, match="no finite output"):
        refuse_difference(wanted * torch.nan, wanted, model)


SYSTEMS = sorted(
    path
    for part in ("system", "baseline", "writer")
    for path in (Path(__file__).parents[3] / "modules").glob(f"**/{part}.py")
)


@pytest.mark.parametrize("path", SYSTEMS, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_system_is_exported_and_compared_or_says_why_not(path):
    name = ".".join(path.relative_to(Path(__file__).parents[3]).with_suffix("").parts)
    module = importlib.import_module(name)
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type)]
    shared = ("EvaluatedClassifier", "System", "PerQuestionSystem")
    for kind in kinds:
        is_own = kind.__module__ == name and issubclass(kind, L.LightningModule)
        if not is_own or kind.__name__ in shared:
            continue
        is_exported = all(hasattr(kind, m) for m in ("export", "outputs", "opens_with"))
        is_exported &= hasattr(kind, "outputs_of") or hasattr(kind, "reopened")
        assert is_exported != hasattr(kind, "no_export"), kind


def test_what_cannot_be_exported_says_so_in_a_sentence():
    with pytest.raises(TypeError, match=r"^Linear cannot be exported: it has no method export"):
        refuse_to_export(torch.nn.Linear(2, 2))
