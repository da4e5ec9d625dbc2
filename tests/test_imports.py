from pathlib import Path

import callbacks
import datamodules
import engine
import modules

ROOT = Path(__file__).parent.parent


def test_the_packages_are_ours():
    for package in (modules, datamodules, callbacks, engine):
        assert Path(package.__file__).is_relative_to(ROOT), package.__file__
