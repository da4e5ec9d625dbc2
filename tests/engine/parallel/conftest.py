from dataclasses import dataclass
from pathlib import Path

import pytest

from cli import main
from tests.fixtures.small_systems import WRITERS, SmallSystem, own_noise, selection


@dataclass(frozen=True)
class Alone:
    """Runs of one process, to which those of many are compared."""

    systems: dict[str, SmallSystem]
    runs: dict[str, Path]


@pytest.fixture(scope="session")
def alone(tmp_path_factory, text_file, tokenizer_folder):
    """Every system, trained by one process."""
    folder = tmp_path_factory.mktemp("systems")
    systems, runs = {}, {}
    with own_noise():
        for name, write in WRITERS.items():
            (folder / name).mkdir()
            system = systems[name] = write(folder / name, text_file, tokenizer_folder)
            main(system.command(1))
            runs[name] = system.newest
    return Alone(systems, runs)


@pytest.fixture(scope="session")
def select(tmp_path_factory):
    """Arguments that select documents, and the folder where one process has selected them."""
    folder = tmp_path_factory.mktemp("selection")
    command = selection(folder)
    main([*command, f"--folder={folder / 'alone'}"])
    return command, folder / "alone"
