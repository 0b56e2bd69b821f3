"""What a yes is good for: exactly what was shown."""

from __future__ import annotations

import hashlib
import json
import unicodedata


def binding(tool: str, arguments: str, cwd: str, pre_image: str) -> str:
    """The hash of an action: its tool, its arguments, where it runs, and the text that it changes.

    `arguments` is JSON text, of which neither the order of keys nor the white space counts; what is no JSON is taken
    as it stands.
    """
    parts = json.dumps([tool, _canonical(arguments), cwd, pre_image])
    return hashlib.sha256(parts.encode()).hexdigest()


def visible(text: str) -> str:
    """The text as it is put before a person who is to allow it: what steers a screen or cannot be seen is escaped.

    Line ends, tabs and plain spaces stay.
    """
    return "".join(character if _is_seen(character) else _escaped(character) for character in text)


def _is_seen(character: str) -> bool:
    return character in " \n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _canonical(arguments: str) -> str:
    try:
        return "json:" + json.dumps(json.loads(arguments, object_pairs_hook=_pairs), sort_keys=True)
    except (ValueError, RecursionError):
        return "text:" + arguments


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)
