"""Wordings by name: those of a task, or a user's own from a file."""

from collections.abc import Mapping
from pathlib import Path

from datamodules.graphs.wording.wording import Wording
from datamodules.records.roots import missing


def find_wording(wordings: Mapping[str, Wording], form: str, task: str) -> Wording:
    """The wording of a form.

    Args:
        wordings: Those of the task, by form.
        form: One of them, or a YAML file with the attributes of a `Wording`.
        task: Name of the task, for messages.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The task has no such form, or the file describes no wording.
    """
    if form in wordings:
        return wordings[form]
    if not form.endswith((".yaml", ".yml")):
        raise ValueError(
            f"{task} has no form {form}; there are {', '.join(wordings)}, or name a .yaml file"
        )
    import yaml

    if not Path(form).is_file():
        raise missing(form)
    content = yaml.safe_load(Path(form).read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict) or not all(isinstance(one, str) for one in content.values()):
        raise ValueError(f"{form}: a wording is a table of texts, see `Wording`")
    try:
        return Wording(**content)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{form}: {error}") from error
