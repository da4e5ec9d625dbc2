"""Errors of the parser and of classes in one plain line."""

import pytest

import cli
from engine.config.parser import PlainParser


def test_a_message_of_an_unknown_form_is_told_in_full_on_one_line(capsys):
    parser = PlainParser()
    parser.parse_args([])
    with pytest.raises(SystemExit, match="2"):
        parser.error("something\n  - of another form")
    assert capsys.readouterr().err == "command line: something - of another form\n"


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--data.init_args.row_length=0", "row_length must be at least 2, got 0."),
        ("--data.init_args.codec.init_args.quality=300", "quality must be within [1, 100]"),
        ("--data.init_args.train=[]", "train"),
    ],
)
def test_what_a_class_has_against_its_arguments_is_told_in_one_line(flag, said, capsys, tmp_path):
    root = f"--trainer.logger.init_args.root={tmp_path}"
    with pytest.raises(SystemExit) as end:
        cli.main(["fit", "--config=configs/jpeg_lm/digits.yaml", root, flag])
    assert end.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith(said) or said in message
    assert "Union" not in message
