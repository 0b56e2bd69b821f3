"""Mentions: what the user points at with `@` in their own words, found and read for the model.

Only what exists is taken for a mention: an e-mail address, a decorator or the scope of a package is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from agentic.context.rules import beginning
from agentic.errors import Refusal
from agentic.ports.code_index import CodeIndex, Symbol
from agentic.ports.problems import report
from agentic.ports.workspace import Workspace
from agentic.task import Task
from agentic.text import split_lines, strip_eol

MAX_ALL = 16_000
"""Characters of all items that are shown."""
MAX_ITEM = 8_000
MAX_MENTIONS = 30
MAX_DEFINITIONS = 3
"""Places that one name may stand for."""
MAX_ENTRIES = 100
"""Entries of a folder that are shown."""
MAX_READINGS = 12
"""Ways to take one mention that are tried."""
MAX_LOOKS = 5
"""Names that are looked for in the whole workspace."""
MAX_LINE = 1_000
"""Characters of a line that are shown."""

_HEAD = 200
"""Characters that an item may need beside the text that it shows."""
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_MENTION = re.compile(
    r"(?<![A-Za-z0-9_.+\-/@`])@(?:\"(?P<quoted>[^\"\n]+)\"(?P<after>\S{0,40})|(?P<bare>[^\s\"`<>|*]{1,300}))"
)
_LINES = re.compile(r"(?::(\d{1,7})(?:-(\d{1,7}))?|#L(\d{1,7})(?:-L?(\d{1,7}))?)$")
_CLOSERS = ",;:!?)]}>'…。、，；：！？）】」』》("
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*$")
_FILE = re.compile(
    r".*/[^/]*\.[A-Za-z][A-Za-z0-9]{0,7}$|.*\w.*/$|[^/]*\.(?:py|pyi|js|jsx|ts|tsx|mjs|json|jsonc|toml|ya?ml|md|txt|rs|go|java"
    r"|kt|c|h|cc|cpp|hpp|cs|rb|php|swift|sh|sql|html|css|scss|vue|svelte|ipynb|csv|ini|cfg|lock|log|xml|proto)$"
)


@dataclass(frozen=True, slots=True)
class Mentioned:
    """The items as the model reads them, in the order of the user's words, and the files that they stand for."""

    text: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A path or name as it may be meant, and the lines that are; 0 for those not said."""

    name: str
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing that a mention stands for. The same `key` is shown once."""

    key: str
    text: str
    paths: tuple[str, ...] = ()


def spellings(words: str) -> list[list[Place]]:
    """What each mention in the words may mean, the longest reading first. What stands in code marks is none."""
    text = _CODE.sub(lambda code: " " * len(code[0]), words)
    return [_readings(found) for found in list(_MENTION.finditer(text))[:MAX_MENTIONS]]


async def mentioned(task: Task, workspace: Workspace, index: CodeIndex, budget: int = MAX_ALL) -> Mentioned:
    """What the task's words point at, at most `budget` characters of it. Paths that do not exist are said to be so."""
    finder = _Finder(task, workspace, index)
    items: dict[str, _Item] = {}
    for readings in spellings(task.text):
        for item in await finder.found(readings, max(0, min(MAX_ITEM, budget) - _HEAD)):
            if item.key not in items:
                shown = item if len(item.text) <= budget else _without_room(item)
                items[item.key] = shown
                budget = max(0, budget - len(shown.text))
    paths = dict.fromkeys(path for item in items.values() for path in item.paths)
    return Mentioned("\n".join(item.text for item in items.values() if item.text), tuple(paths))


class _Finder:
    """Looks up what a mention may mean, and takes the first reading that exists."""

    def __init__(self, task: Task, workspace: Workspace, index: CodeIndex) -> None:
        self._task = task
        self._workspace = workspace
        self._index = index
        self._looks = MAX_LOOKS

    async def found(self, readings: Sequence[Place], room: int) -> list[_Item]:
        for place in readings:
            if items := await self._special(place, room) or await self._path(place, room):
                return items
        for place in readings:
            if items := await self._elsewhere(place, room) or await self._symbol(place, room):
                return items
        for place in readings:
            if problem := await self._problem(place.name):
                return [_Item(place.name, f"@{place.name}: {problem}")]
        return []

    async def _special(self, place: Place, room: int) -> list[_Item]:
        match place.name.lower():
            case "selection":
                missing = "" if self._task.selection else "@selection: nothing is selected."
                return [_Item("@selection", missing)]
            case "problems" | "diagnostics":
                return [_Item("@problems", await self._problems(room))]
            case "open":
                files = [await self._path(Place(path), room) for path in self._task.open_files]
                return [item for file in files for item in file] or [_Item("@open", "@open: no file is open.")]
            case _:
                return []

    async def _path(self, place: Place, room: int) -> list[_Item]:
        snapshot = await self._workspace.read(place.name)
        if isinstance(snapshot, Refusal):
            return await self._folder(place.name) if snapshot.code == "not_a_file" else []
        if not snapshot.exists:
            return []
        text = _shown(f'<file path="{snapshot.path}"', snapshot.text, place, room, "file")
        return [_Item(f"{snapshot.path}:{place.first}-{place.last}", text, (snapshot.path,))]

    async def _problem(self, name: str) -> str:
        """Why a path cannot be shown; empty for what does not look like one."""
        snapshot = await self._workspace.read(name)
        if isinstance(snapshot, Refusal):
            is_there = snapshot.code in ("not_text", "too_large", "io_error")
            return snapshot.message if is_there or _FILE.match(name) else ""
        return "there is no such file." if _FILE.match(name) else ""

    async def _folder(self, name: str) -> list[_Item]:
        entries = await self._workspace.list(name)
        if isinstance(entries, Refusal):
            return []
        path = (entries[0].path.rpartition("/")[0] if entries else name.strip("./")) or "."
        lines = [f"{entry.path}/" if entry.is_dir else entry.path for entry in entries[:MAX_ENTRIES]]
        if len(entries) > MAX_ENTRIES:
            lines.append(f"[{len(entries) - MAX_ENTRIES} more; list_files shows them]")
        return [_Item(f"{path}/", "\n".join([f'<folder path="{path}">', *lines, "</folder>"]), (f"{path}/",))]

    async def _elsewhere(self, place: Place, room: int) -> list[_Item]:
        """A file that is named by the end of its path, where there is one such file."""
        name = place.name.removeprefix("./").lstrip("/")
        if not _FILE.match(name) or name.endswith("/") or set(name) & set("*?[]{}\\") or not self._looks:
            return []
        self._looks -= 1
        paths = await self._workspace.find(f"**/{name}", MAX_DEFINITIONS + 1)
        if len(paths) == 1:
            return await self._path(Place(paths[0], place.first, place.last), room)
        more = " and more" if len(paths) > MAX_DEFINITIONS else ""
        named = ", ".join(paths[:MAX_DEFINITIONS])
        return [_Item(name, f"@{place.name} may be any of {named}{more}: none is shown.")] if paths else []

    async def _symbol(self, place: Place, room: int) -> list[_Item]:
        if not _NAME.match(place.name):
            return []
        container, _, name = place.name.rpartition(".")
        found = await self._index.symbols([name], 50)
        exact = [one for one in found if one.name == name and (not container or one.container == container)]
        room //= max(1, min(len(exact), MAX_DEFINITIONS))
        items = [await self._definition(one, room) for one in exact[:MAX_DEFINITIONS]]
        if len(exact) > MAX_DEFINITIONS:
            items.append(_Item(f"@{name}", f"@{place.name}: {len(exact) - MAX_DEFINITIONS} more places define it."))
        return [item for item in items if item is not None]

    async def _definition(self, symbol: Symbol, room: int) -> _Item | None:
        """The lines that the file now holds where the index has seen the name."""
        snapshot = await self._workspace.read(symbol.path)
        if isinstance(snapshot, Refusal) or not snapshot.exists:
            return None
        name = f"{symbol.container}.{symbol.name}" if symbol.container else symbol.name
        head = f'<symbol name="{name}" kind="{symbol.kind}" path="{symbol.path}"'
        text = _shown(head, snapshot.text, Place(name, symbol.line, symbol.end_line), room, "symbol")
        return _Item(f"{symbol.path}:{symbol.line}-{symbol.end_line}", text, (symbol.path,))

    async def _problems(self, room: int) -> str:
        problems = await self._workspace.problems([])
        said = problems.message if isinstance(problems, Refusal) else report(problems)
        return f"<problems>\n{beginning(split_lines(said), room).text.rstrip()}\n</problems>"


def _readings(found: re.Match[str]) -> list[Place]:
    """The mention as it stands, then with less and less of what may be the sentence's and not the name's."""
    if found["quoted"] is not None:
        lines = _LINES.match(found["after"].rstrip(_CLOSERS + "."))
        return [_place(found["quoted"] + (lines[0] if lines else ""))]
    return [_place(reading) for reading in islice(_shortened(found["bare"]), MAX_READINGS)]


def _shortened(text: str) -> Iterator[str]:
    yield text
    for at in range(len(text) - 1, 0, -1):
        rest, before = text[at:], text[at - 1]
        ends = rest[0] in _CLOSERS and not (rest[0] == "(" and "/" in text[:at])
        dots = not rest.strip(_CLOSERS + ".")
        # Korean and Japanese put their particles right after a name; Chinese and Thai go on without a blank.
        joined = before.isascii() and (before.isalnum() or before in "_/") and not rest[0].isascii()
        if ends or dots or (joined and not re.search(r"[A-Za-z0-9/]", rest)):
            yield text[:at]


def _place(text: str) -> Place:
    lines = _LINES.search(text)
    if lines is None:
        return Place(text)
    first = int(lines[1] or lines[3])
    last = int(lines[2] or lines[4] or first)
    return Place(text[: lines.start()], max(1, min(first, last)), max(1, first, last))


def _shown(head: str, text: str, place: Place, room: int, tag: str) -> str:
    """The lines of a place, numbered as `read_file` numbers them, with how to read on where they are cut."""
    lines = split_lines(text.removeprefix("\ufeff"))
    first = place.first or 1
    wanted = lines[first - 1 : place.last or len(lines)]
    if not wanted:
        return f'{head} lines="0 of {len(lines)}"/>'
    numbered = [f"{number}\t{_clipped(strip_eol(line))}\n" for number, line in enumerate(wanted[:room], first)]
    kept = beginning(numbered, room)
    last = first + max(1, kept.lines) - 1
    whole = last - first + 1 == len(lines)
    said = "" if whole else f' lines="{first}-{last} of {len(lines)}"'
    more = f"[cut: read_file goes on with offset {last + 1}]\n" if last - first + 1 < len(wanted) else ""
    return f"{head}{said}>\n{kept.text}{more}</{tag}>"


def _clipped(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}… ({len(line) - MAX_LINE} more characters)"


def _without_room(item: _Item) -> _Item:
    return _Item(item.key, f"[{item.key.split(':')[0]} has no room here: read it]", item.paths)
