"""Explains what a parser has against a configuration, in one plain sentence for each kind."""

import re
from collections.abc import Callable
from itertools import takewhile
from textwrap import shorten
from typing import Any

import yaml

from engine.config.origins import COMMAND_LINE, class_at, config_files, find, plain, shown
from engine.config.parser_error import BLOCK, ParserError
from engine.config.suggestions import (
    first_unknown,
    flags,
    keys,
    keys_of,
    nearest,
    nearest_config,
    nearest_member,
    nearest_module,
)
from engine.config.trust import UNKNOWN

Match = re.Match[str]


def explain(error: ParserError) -> str:
    """One sentence about an error; the parser's own words where none fits."""
    for pattern, explanation in EXPLANATIONS:
        match = re.search(pattern, error.message)
        reason = explanation(error, match) if match else None
        if reason:
            return reason
    return f"{COMMAND_LINE}: {error.message}"


# Files


def missing_file(error: ParserError, match: Match) -> str | None:
    """A --config that is not there."""
    for path in config_files(error.args):
        if not path.is_file():
            return f"{path}: no such file{nearest_config(path)}"
    return None


def broken_file(error: ParserError, match: Match) -> str | None:
    """A --config that is no YAML, or no sections of keys."""
    for path in config_files(error.args, error.command.default_config_files):
        try:
            content = yaml.safe_load(path.read_text())
        except yaml.MarkedYAMLError as damage:
            line = damage.problem_mark.line + 1 if damage.problem_mark else 1
            reason = ", ".join(filter(None, [damage.context, damage.problem]))
            return f"{shown(path)}, line {line}: not valid YAML: {reason}"
        if not isinstance(content, dict):
            return f"{shown(path)}: expected keys with values, got {brief(content)}"
    return None


# References


def unknown_reference(error: ParserError, match: Match) -> str:
    """`${a.b}` of a key that is not there."""
    key = re.sub(rf"^{getattr(error.command, 'subcommand', '')}\.", "", match["resolved"])
    known = [p.key for p in error.origins if not p.key.endswith("]")]
    return f"{user_of(error, key)} refers to {key}, which is not set{nearest(key, known)}"


def unset_variable(error: ParserError, match: Match) -> str:
    """`${oc.env:NAME}` of a variable that is not set."""
    name = match["name"]
    return f"{user_of(error, name)} needs the environment variable {name}, which is not set"


def broken_reference(error: ParserError, match: Match) -> str:
    """`${...}` that cannot be read."""
    return f"{user_of(error, match['reason'])}: {match['reason']}"


def user_of(error: ParserError, text: str) -> str:
    """Where a text is inside `${...}`."""
    inside = re.compile(rf"\$\{{[^}}]*{re.escape(text)}")
    for origin in error.origins:
        if isinstance(origin.value, str) and inside.search(origin.value):
            return f"{origin.source}: {origin.key}"
    key = re.search(r"full_key: \w+\.(\S+)", error.message)
    return error.at(plain(key[1]) if key else "configuration")


# Keys


def unknown_key(error: ParserError, match: Match) -> str:
    """A key that nothing has there."""
    parent, owner = error.around(match.start())
    inner = ".".join(filter(None, [match["group"], match["option"] or match["alone"]]))
    known = keys_of(owner) if parent else keys(error.command)
    wrong, hint = first_unknown(inner, known)
    full = ".".join(filter(None, [parent, wrong]))
    if wrong.rpartition(".")[2] == "init_args":
        return half_given(error, full)
    source, _, key = error.at(full, owner).partition(": ")
    return f"{source}: unknown key {key}{hint}"


def half_given(error: ParserError, key: str) -> str:
    """`init_args` without a class_path, of options that are no choice of classes."""
    wanted = plain(key)
    spelled = [p for p in error.origins if p.key.endswith(".init_args") and p.plain == wanted]
    inner = [p for p in error.origins if ".init_args." in p.key and wanted in p.plain]
    origin = next(iter(spelled + inner), None)
    where = f"{origin.source}: {origin.key}" if origin else f"{COMMAND_LINE}: {key}"
    name = wanted.rpartition(".")[2]
    return (
        f"{where}: a part of {name} is given without init_args, as {name}.KEY, or whole, with its "
        "class_path"
    )


def unknown_flag(error: ParserError, match: Match) -> str:
    """An argument that no flag takes."""
    flag = match["flag"]
    inner = option_of_class(error, flag)
    if inner:
        return inner
    known = flags(error.command)
    deep = deeper(error, flag)
    if deep:
        return f"{COMMAND_LINE}: unknown flag {flag}; did you mean {deep}?"
    if not flag.startswith("-"):
        return f"{COMMAND_LINE}: unknown argument {flag}{nearest('--' + flag, known)}"
    return f"{COMMAND_LINE}: unknown flag {flag}{nearest(flag.partition('=')[0], known)}"


def option_of_class(error: ParserError, flag: str) -> str | None:
    """A flag inside the options of a class, whose prefix the parser cuts off."""
    name = flag.lstrip("-").partition("=")[0]
    given = (arg.partition("=")[0] for arg in error.args if arg.startswith("--"))
    full = next((arg for arg in given if arg.endswith(f".init_args.{name}")), None)
    if full is None:
        return None
    owner = class_at(error.origins, plain(full[2 : -len(name) - 1]))
    if owner is None:
        return None
    known = keys_of(owner)
    if plain(name) in known:
        return f"{COMMAND_LINE}: unknown flag {full}; it is {full[: -len(name)]}{plain(name)}"
    wrong, hint = first_unknown(plain(name), known)
    there = ", ".join(sorted({key.partition(".")[0] for key in known}))
    return f"{COMMAND_LINE}: {full}: {owner} has no option {wrong}{hint or f'; there are {there}'}"


def deeper(error: ParserError, flag: str) -> str | None:
    """The flag of a key that is given somewhere under the name that a short flag has."""
    name = flag.lstrip("-").partition("=")[0]
    if not flag.startswith("--") or "." in name:
        return None
    keys = [p.key for p in error.origins if p.key.endswith(f".{name}")]
    plain_keys = [key for key in keys if "[" not in key and "+" not in key]
    return f"--{plain_keys[0]}" if plain_keys else None


def unknown_command(error: ParserError, match: Match) -> str:
    """A verb that is not there, or none."""
    verbs = list(getattr(error.parser._subcommands_action, "choices", []))
    fault = f"unknown command {match['verb']}" if match["verb"] else "no command"
    hint = nearest(match["verb"] or "", verbs) or f"; there are {', '.join(verbs)}"
    return f"{COMMAND_LINE}: {fault}{hint}"


def missing_key(error: ParserError, match: Match) -> str:
    """A required key that is not given."""
    key, owner = error.around(match.start())
    names = match["names"].rstrip(".").split(", ")
    if not key:
        inner = [name.partition(".")[2] or name for name in names]
        needs = " and ".join(f"--{name}" if "." in name else name for name in inner)
        return f"{COMMAND_LINE}: nothing gives {needs}; name a file by --config"
    origin = find(error.origins, f"{key}.class_path", owner) or find(error.origins, key)
    section = re.sub(r"\.class_path$", "", origin.key) if origin else key
    listed = ", ".join(f"{section}.init_args.{name}" for name in names)
    return f"{origin.source if origin else COMMAND_LINE}: {listed} is missing; {owner} requires it"


# Classes


def untrusted(error: ParserError, match: Match) -> str:
    """A class_path outside the allowlist."""
    return f"{class_origin(error, match['path'], match)} is {match['path']}, {UNKNOWN}"


def no_module(error: ParserError, match: Match) -> str | None:
    """A class_path whose module does not exist; None where the module lacks one of its own."""
    module = match["module"]
    if error.holding(f"{module}.") is None:
        return None
    where = class_origin(error, f"{module}.", match)
    return f"{where}: there is no module {module}{nearest_module(module)}"


def no_member(error: ParserError, match: Match) -> str:
    """A class_path whose module has no such class."""
    module, name = match["module"], match["name"]
    where = class_origin(error, f"{module}.{name}", match)
    return f"{where}: {module} has no {name}{nearest_member(module, name)}"


def wrong_base(error: ParserError, match: Match) -> str:
    """A class_path of a class of another kind."""
    where = class_origin(error, match["path"], match)
    return f"{where} is {match['path']}, which is no {match['base'].rpartition('.')[2]}"


def class_origin(error: ParserError, path: str, match: Match) -> str:
    """Where a class_path is given."""
    origin = error.holding(path)
    if origin is None:
        return error.at(error.around(match.start())[0])
    return f"{origin.source}: {origin.key}"


# Values


def wrong_value(error: ParserError, match: Match) -> str:
    """A value of another type; the innermost key counts."""
    marks = [mark for mark in BLOCK.finditer(error.message) if mark["key"]]
    inner = max(marks, key=lambda mark: error.around(mark.end())[0].count("."))
    key, owner = error.around(inner.end())[0], error.around(inner.start())[1]
    body = block_after(error.message, inner.end())
    where = error.at(key, owner)
    wanted = re.search(r"Subtypes: \[(.*)\]|Expected an? (.+?)\. Got value", body)
    got = re.search(r"(?:Given value|Got value): (.*)", body)
    if wanted is None or got is None:
        return f"{where}: {body}"
    types, value = wanted[1] or wanted[2], got[1].partition(". Got value: ")[0]
    written = find(error.origins, key, owner)
    if written and "${" in str(written.value):
        value = f"{written.value}, which is {value}"
    choices = re.findall(r"'([^']*)'", re.sub(r"<class '.*?'>", "", types))
    return f"{where}: expected {readable(types)}, got {brief(value)}{nearest(value, choices)}"


def block_after(message: str, start: int) -> str:
    """The rest of a line and the lines below that are indented more."""
    line = message[message.rfind("\n", 0, start) + 1 :]
    indent = len(line) - len(line.lstrip())
    first, *below = message[start:].splitlines()
    inside = takewhile(lambda text: not text or len(text) - len(text.lstrip()) > indent, below)
    return "\n".join([first.lstrip(":"), *inside])


def readable(types: str) -> str:
    """Types as a reader names them: `<class 'int'>, <class 'NoneType'>` is `int or null`."""
    types = re.sub(r"<class '([\w.]+)'>", r"\1", types)
    types = re.sub(r"\b(?:[a-z_]\w*\.)+(\w+)", r"\1", types).replace("NoneType", "null")
    types = re.sub(r"Literal\[([^\]]*)\]", lambda m: re.sub("[' ]", "", m[1]), types)
    return " or ".join(dict.fromkeys(re.split(r", ?(?![^\[]*\])", types)))


def brief(value: Any) -> str:
    """A value, cut where it is long."""
    return shorten(str(value), 80, placeholder=" ...") or "nothing"


EXPLANATIONS: list[tuple[str, Callable[[ParserError, Match], str | None]]] = [
    (r"File does not exist|not exist: ", missing_file),
    (r"Problems parsing config|Unexpected config", broken_file),
    (r"resolved to '(?P<resolved>[^']+)'", unknown_reference),
    (r"Environment variable '(?P<name>\w+)' not found", unset_variable),
    (r"(?P<reason>.*)\n\s*full_key: ", broken_reference),
    (r"unrecognized arguments: (?P<flag>\S+)", unknown_flag),
    (r"subcommand: invalid choice: '(?P<verb>[^']*)'|expected \"subcommand\"", unknown_command),
    (
        r"(?:Subcommand '\w+'|Group '(?P<group>[^']+)') does not accept option '(?P<option>[^']+)'"
        r"|Option '(?P<alone>[^']+)' is not accepted",
        unknown_key,
    ),
    (r"Importing '(?P<path>[^']+)' is not allowed", untrusted),
    (r"No module named '(?P<module>[^']+)'", no_module),
    (r"module '(?P<module>[^']+)' has no attribute '(?P<name>[^']+)'", no_member),
    (
        r"Import path (?P<path>\S+) does not (?:corresp.* of|implement protocol) (?P<base>\w+)",
        wrong_base,
    ),
    (r"Expected '(?P<path>[^']+)' to be .*subclass of <class '(?P<base>[^']+)'>", wrong_base),
    (r"arguments are required: (?P<names>[\w.]+(?:, [\w.]+)*)", missing_key),
    (r'Parser key "', wrong_value),
]
"""Pattern of each message of the parser, and what explains it; the first match is used."""
