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
_VERSION = re.compile(r"(python|python3|node|ruby|perl|gcc|clang|cmake|make) (--version|-V)")


@dataclass(frozen=True, slots=True)
class _Tool:
    """The options that a tool may have: letters of short ones and names of long ones. All others ask."""

    short: str = ""
    long: frozenset[str] = frozenset()
    operands: int = 100


def _tool(short: str = "", long: str = "", operands: int = 100) -> _Tool:
    return _Tool(short, frozenset(long.split()), operands)


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
    "uniq": _tool("cdui", operands=1),
    "wc": _tool("lwcmL", "lines words bytes chars"),
}
"""`uniq a b` writes b, hence its limit. `grep -r` would print what hidden files hold, hence it asks."""


def is_read_only(command: str) -> bool:
    """Whether a command plainly does nothing but print what lies in the workspace."""
    if _PLAIN.fullmatch(command) is None:
        return False
    if _VERSION.fullmatch(command):
        return True
    name, *arguments = command.split() or [""]
    tool = _TOOLS.get(name)
    if tool is None or not all(_stays_inside(argument) for argument in arguments):
        return False
    options = [argument for argument in arguments if argument.startswith("-")]
    return len(arguments) - len(options) <= tool.operands and all(_is_harmless(option, tool) for option in options)


def _is_harmless(option: str, tool: _Tool) -> bool:
    if "/" in option:
        return False
    if option.startswith("--"):
        name, _, _ = option[2:].partition("=")
        return option == "--" or name in tool.long
    return all(character in tool.short or character in "0123456789,:+" for character in option[1:])


def _stays_inside(argument: str) -> bool:
    """No absolute path, no way up, no hidden file and nothing that sounds like a secret."""
    if argument.startswith("=") or ".." in argument or re.search(r"(^|[=:,@+%])/", argument):
        return False
    return not any(_SECRET.fullmatch(part) for part in re.split(r"[/=:,@+%]", argument))
