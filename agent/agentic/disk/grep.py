"""Search without ripgrep, as a program of its own so that a pattern that takes for ever can be killed.

Reads from stdin one JSON object `{"pattern", "files": [[name, place], …], "limit", "max_bytes", "max_line"}`; prints
one JSON array `[name, line, text]` for each line that matches, in the order of the files.
"""

from __future__ import annotations

import codecs
import json
import re
import sys


def main() -> None:
    request = json.load(sys.stdin)
    pattern = re.compile(request["pattern"])
    left = request["limit"]
    for name, place in request["files"]:
        for number, line in enumerate(_lines(place, request["max_bytes"]), 1):
            if left > 0 and pattern.search(line):
                sys.stdout.write(json.dumps([name, number, line[: request["max_line"]]]) + "\n")
                left -= 1
        if left <= 0:
            break


def _lines(place: str, max_bytes: int) -> list[str]:
    """The file's lines without their ends; none for what is no text, too large or gone."""
    try:
        with open(place, "rb") as file:
            data = file.read(max_bytes + 1)
    except OSError:
        return []
    if len(data) > max_bytes:
        return []
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    elif b"\0" in data:
        return []
    else:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


if __name__ == "__main__":
    main()
