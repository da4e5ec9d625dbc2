from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.run import claim, config_paths, run_name


def test_twenty_runs_at_once_get_twenty_folders(tmp_path):
    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(lambda _: claim(tmp_path / "runs"), range(20)))
    assert sorted(map(int, numbers)) == list(range(20))


def test_other_files_in_the_folder_do_not_disturb(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "7").mkdir()
    assert claim(tmp_path) == "8"


def test_a_run_is_named_after_its_first_config():
    args = ["fit", "--config", "configs/causal_lm/tiny.yaml", "--config=configs/debug.yaml"]
    assert config_paths(args) == [Path("configs/causal_lm/tiny.yaml"), Path("configs/debug.yaml")]
    assert run_name(config_paths(args)) == "causal_lm/tiny"
    assert run_name([]) == "run"
