"""Every shipped config, resolved: each key with its value, references and defaults filled in.

`python -m tests.test_frozen_configs` writes the files anew, after a change that is meant to change
them. Folders of the machine are written as ${DATA} and ${MODELS}.
"""

import io
import os
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

import cli
from engine.config.layers import with_bases
from engine.study.grid import read_grid
from tests.fixtures.configs import VERBS
from tests.fixtures.layers import CONFIGS, runs

FROZEN = Path(__file__).parent / "golden" / "configs"
FOLDERS = {"TRAINER_DATA": "/folder_of_data", "TRAINER_MODELS": "/folder_of_models"}
NAMES = {"/folder_of_data": "${DATA}", "/folder_of_models": "${MODELS}"}
LAYERS = {
    "debug": "causal_lm/tiny",
    "decoding/data/graphs": "decoding/context_aware",
    "decoding/models/llama2_13b_chat": "decoding/proxy_tuning",
    **dict.fromkeys(
        (f"icl/tasks/{name}" for name in ("cr", "mr", "rte", "sst2", "subj", "trec")),
        "icl/opt_6_7b",
    ),
    "p3sum/data/swap": "p3sum/news",
    "strategy/ddp": "causal_lm/tiny",
    "strategy/deepspeed_zero2": "causal_lm/llama3_8b_lora",
    "strategy/deepspeed_zero3": "causal_lm/llama3_8b_lora",
    "strategy/context_parallel": "avc_lm/paper_7b",
    "strategy/deepspeed_zero3_offload": "causal_lm/llama3_8b_lora",
    "strategy/fsdp2": "lmfusion/llama3_8b",
    "strategy/hsdp": "lmfusion/llama3_8b",
    "strategy/tensor_parallel": "causal_lm/llama3_8b_lora",
    "strategy/tensor_parallel_fsdp2": "lmfusion/llama3_8b",
}
"""Configs that are given after another one, and a config that each is for."""
PLAIN = ("grid", "sweep")
"""Commands that read their command line by themselves."""


@dataclass(frozen=True)
class Case:
    """A config and the command that resolves it.

    Attributes:
        name: Path below configs/, without its ending.
    """

    name: str

    @property
    def layers(self) -> list[str]:
        """What is given, in its order."""
        return [LAYERS[self.name], self.name] if self.name in LAYERS else [self.name]

    @property
    def verb(self) -> str:
        """The command that the config is for."""
        return VERBS.get(self.layers[0], "fit")

    @property
    def file(self) -> Path:
        """Where the outcome is kept."""
        folder, _, run = self.name.replace("decoding/models", "decoding").rpartition("/")
        return FROZEN / f"{folder.replace('/', '_') or 'layer'}_{run}.yaml"


CASES = [Case(str(path.relative_to(CONFIGS).with_suffix(""))) for path in runs("**/*.yaml")]


class ParserBuilt(Exception):  # noqa: N818 - ends nothing that went wrong
    """The parser is there, and nothing else is wanted."""


@cache
def parser() -> Any:
    """The parser of the command line, built once: that takes as long as to read a config."""
    parsers = []

    class Reader(cli.CommandLine):
        def parse_arguments(self, parser: Any, args: Any) -> None:
            parsers.append(parser)
            raise ParserBuilt

    with patch.object(cli, "CommandLine", Reader), pytest.raises((ParserBuilt, SystemExit)):
        cli.main(["fit"])
    return parsers[0]


def printed(*command_line: str) -> dict[str, Any]:
    """What `--print_config` shows of a command line."""
    args = [*command_line, "--print_config"]
    with redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as end:
        cli.main(args) if command_line[0] in PLAIN else parser().parse_args(with_bases(args))
    assert end.value.code in (0, None), end.value
    lines = out.getvalue().splitlines()  # DeepSpeed logs there when it is imported
    return yaml.safe_load("\n".join(line for line in lines if not line.startswith("[")))


def cells(config: str) -> dict[str, Any]:
    """Of each run of a grid, the configs that it starts from and the options of its commands."""
    grid, _ = read_grid([config])
    return {
        cell.name: {"configs": list(cell.configs)}
        | {name: {command.verb: cell.content(name)} for name, command in cell.commands.items()}
        for cell in grid.cells()
    }


def resolved(case: Case) -> dict[str, Any]:
    """A resolved config as plain data, without folders of this machine."""
    layers = [f"--config=configs/{layer}.yaml" for layer in case.layers]
    if case.verb == "sweep":
        layers = [f"--sweep=configs/{case.name}.yaml"]
    with chdir(CONFIGS.parent), patch.dict(os.environ, FOLDERS):
        values = printed(case.verb, *layers)
        if case.verb == "grid":
            values = {"grid": values, "cells": cells(*layers)}
    return yaml.safe_load(as_text(values))


def as_text(values: dict[str, Any]) -> str:
    """The YAML of a config, without folders of this machine."""
    text = yaml.safe_dump(values, width=10**6)  # sorted: the parser's order may change
    for folder, name in NAMES.items():
        text = text.replace(folder, name)
    return text


def leaves(value: Any, key: str = "") -> dict[str, Any]:
    """Every value that holds no others, by its dotted key."""
    if not isinstance(value, dict | list) or not value:
        return {key: value}
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    below = [leaves(value, f"{key}.{name}" if key else str(name)) for name, value in inner]
    return {name: value for part in below for name, value in part.items()}


def differences(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for each key whose value, or its type, is another; `absent` is no value."""
    old, new = leaves(was), leaves(now)
    entries = [(key, shown(old, key), shown(new, key)) for key in {**old, **new}]
    return [f"{key}: was {a}, is {b}" for key, a, b in entries if a != b]


def shown(values: dict[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "absent"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_config_comes_to_what_it_did(case):
    changes = differences(yaml.safe_load(case.file.read_text()), resolved(case))
    if changes:  # one line a key, in full
        pytest.fail(
            "\n".join([f"configs/{case.name}.yaml is not what it was", *changes]), pytrace=False
        )


def test_every_frozen_config_has_its_source():
    assert {path.name for path in FROZEN.glob("*.yaml")} == {case.file.name for case in CASES}


def test_a_difference_names_the_key_and_both_values():
    was = {"model": {"width": 8, "layers": [1, 2]}, "gone": None, "rate": 1}
    now = {"model": {"width": 16, "layers": [1]}, "new": [], "rate": 1.0}
    assert differences(was, now) == [
        "model.width: was 8, is 16",
        "model.layers.1: was 2, is absent",
        "gone: was None, is absent",
        "rate: was 1, is 1.0",
        "new: was absent, is []",
    ]


def write() -> None:
    """Write what every config resolves to now."""
    FROZEN.mkdir(parents=True, exist_ok=True)
    for path in FROZEN.glob("*.yaml"):
        path.unlink()
    for case in CASES:
        case.file.write_text(as_text(resolved(case)))


if __name__ == "__main__":
    write()
