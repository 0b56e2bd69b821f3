"""Which shell commands only read, so that nobody needs to be asked.

This decides about asking and nothing else: a text filter keeps nobody safe. Whatever is not plainly harmless asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLAIN = re.compile(r"[A-Za-z0-9_./=,:@%+ -]{1,500}")
_SECRET = re.compile(
    r"(?i)\.(?!$).*|id_(rsa|dsa|ecdsa|ed25519)|.*\.(pem|key|p12|pfx|jks|kdbx)"
    r"|(secrets?|credentials?|passwords?|passwd|shadow|tokens?)(\..*)?"
)


@dataclass(frozen=True, slots=True)
class _Tool:
    """The options that a tool may have: letters of short ones and names of long ones. All others ask."""

    short: str = ""
    long: frozenset[str] = frozenset()


def _tool(short: str = "", long: str = "") -> _Tool:
    return _Tool(short, frozenset(long.split()))


_TOOLS = {
    "cat": _tool("nbAEsTv"),
    "cut": _tool("bcdfs", "delimiter fields characters bytes"),
    "diff": _tool("uqwbBiy", "unified brief side-by-side ignore-all-space color"),
    "du": _tool("hsacdk", "max-depth human-readable summarize"),
    "echo": _tool("ne"),
    "file": _tool("bi", "brief mime mime-type"),
    "grep": _tool("inHhlLcowvxEFABCem", "ignore-case line-number count context include color"),
    "head": _tool("ncqv", "lines bytes"),
    "ls": _tool("laAhtrRS1dFpsi", "all almost-all human-readable recursive color"),
    "pwd": _tool("LP"),
    "rg": _tool(
        "inlcwvoFSsxetABCmNH",
        "files count line-number ignore-case smart-case fixed-strings word-regexp files-with-matches type max-count"
        " context no-heading",
    ),
    "sort": _tool("rnufktbhV", "reverse unique numeric-sort key"),
    "stat": _tool("c", "format"),
    "tail": _tool("ncqv", "lines bytes"),
    "tree": _tool("adfLsh", "dirsfirst"),
    "wc": _tool("lwcmL", "lines words bytes chars"),
}
"""`uniq a b` writes b, hence it is not here; nor is `python --version`, which a version manager may turn into a program
of the workspace. `grep -r` would print what hidden files hold, hence it asks.
"""
_TAKES_FOLDERS = frozenset({"du", "file", "ls", "rg", "stat", "tree"})


def is_read_only(command: str) -> bool:
    """Whether a command plainly does nothing but print what lies in the workspace."""
    if _PLAIN.fullmatch(command) is None:
        return False
    name, *arguments = command.split() or [""]
    tool = _TOOLS.get(name)
    if tool is None or not all(_stays_inside(argument) for argument in arguments):
        return False
    return all(_is_harmless(argument, tool) for argument in arguments if argument.startswith("-"))


def files_read(command: str) -> list[str]:
    """What a read-only command may open, as it names it: the caller sees to it that no link leads out there."""
    return [argument for argument in command.split()[1:] if not argument.startswith("-")]


def takes_folders(command: str) -> bool:
    """Whether a read-only command only lists the folders that it is given, or stays inside of them."""
    return command.split(maxsplit=1)[0] in _TAKES_FOLDERS


def _is_harmless(option: str, tool: _Tool) -> bool:
    if "/" in option or option in ("-", "--"):
        return False
    if option.startswith("--"):
        return option[2:].partition("=")[0] in tool.long
    return all(character in tool.short or character in "0123456789,:+" for character in option[1:])


def _stays_inside(argument: str) -> bool:
    """No absolute path, no way up, no hidden file and nothing that sounds like a secret."""
    if argument.startswith("=") or ".." in argument or re.search(r"(^|[=:,@+%])/", argument):
        return False
    return not any(_SECRET.fullmatch(part) for part in re.split(r"[/=:,@+%]", argument))
