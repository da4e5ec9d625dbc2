import engine.commands
from engine.commands.command import commands, config_commands, plain_commands
from tests.fixtures.runs import refused

NEW = '''
class Greet:
    """Says hello."""

    summary = "say hello to a name"

    def main(self, args, command_line):
        """Say it."""
        print("hello", *args)
'''


def test_a_command_is_one_that_reads_a_config_or_its_own_words():
    assert {*config_commands(), *plain_commands()} == set(commands())
    assert "export" in config_commands()
    assert "grid" in plain_commands()


def test_a_new_file_is_a_new_command(tmp_path, monkeypatch, capsys):
    (tmp_path / "greet.py").write_text(NEW)
    monkeypatch.setattr(engine.commands, "__path__", [*engine.commands.__path__, str(tmp_path)])
    commands.cache_clear()
    from cli import main

    try:
        main(["greet", "you"])
        assert capsys.readouterr().out == "hello you\n"
        with refused(r"did you mean greet\?"):
            main(["gret"])
    finally:
        commands.cache_clear()


def test_help_lists_every_command(capsys):
    from cli import main

    try:
        main(["--help"])
    except SystemExit:
        pass
    output = capsys.readouterr().out
    assert all(f"    {name} " in output for name in ("fit", "predict", *commands()))
