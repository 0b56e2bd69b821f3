"""Lines on a terminal or a pipe, those of each agent under its name.

On a pipe nothing but plain text is written, and what a model or a command says never steers the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentic.events import MAIN
from agentic.safety.approvals import visible
from agentic.text import split_lines, strip_eol
from agentic_server.terminal_words import harmless

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

FOLDED = 12
"""Lines of a long text that are shown."""
NARROWEST = 20
"""Columns that a text beside a name gets at least."""
SHORTEST_NAME = 6
"""Columns for a name at least, so that few lines are out of line with those of a longer one that follows."""
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class Screen:
    """Prints lines, each once; nothing that was printed is changed later.

    The main agent's lines begin at the margin, those of others with their names: also where a line goes on, on a
    terminal, because it is too long.
    """

    def __init__(self, console: Console | None = None, thinking: bool = False) -> None:
        self.thinking = thinking
        self._console = console or terminal_console()
        self._status: Status | None = None
        self._in_line = False
        self._names = 0

    @property
    def in_line(self) -> bool:
        """Whether the last line is still open."""
        return self._in_line

    def make_room(self, names: Iterable[str]) -> None:
        """Let the texts beside these names begin in one column."""
        self._names = max(map(len, names), default=0)

    def line(self, text: str, style: str = "", agent: str = MAIN) -> None:
        """A line of its own, or several, as they are."""
        self.end_line()
        if agent == MAIN:
            self._console.print(harmless(text), style=style, markup=False, highlight=False, soft_wrap=True)
            return
        for line in harmless(text).split("\n"):
            self._beside(agent, line.rstrip(), style)

    def folded(self, text: str, style: str = "", agent: str = MAIN, limit: int = FOLDED) -> None:
        """A text of which only the first lines are shown, unless everything is wanted."""
        lines = [strip_eol(line).rstrip() for line in split_lines(text.strip())]
        left = 0 if self.thinking else len(lines) - limit
        if left > 1:
            lines[limit:] = [f"… {left} more lines; the log has all"]
        for line in lines:
            self.line(line, style, agent)

    def diff(self, text: str, agent: str = MAIN) -> None:
        """A unified diff, indented, its lines in the usual colours."""
        for line in map(strip_eol, split_lines(text)):
            self.line(f"    {visible(line)}", diff_style(line), agent)

    def write(self, text: str, style: str = "") -> None:
        """Text that goes on where the last ended."""
        self.stop_waiting()
        self._console.print(harmless(text), style=style, end="", markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()
        if text:
            self._in_line = not text.endswith("\n")

    def end_line(self) -> None:
        """End a line that is still open and stop the spinner. Idempotent."""
        self.stop_waiting()
        if self._in_line:
            self._console.print()
            self._in_line = False

    def wait(self, what: str) -> None:
        """Tell, on a terminal, what is being waited for, until something is printed."""
        if not self._console.is_terminal or self._in_line:
            return
        from rich.text import Text

        if self._status is None:
            self._status = self._console.status("")
            self._status.start()
        self._status.update(Text(harmless(f"{what}…"), style="dim", overflow="ellipsis", no_wrap=True))

    def stop_waiting(self) -> None:
        """Stop the spinner. Idempotent."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _beside(self, agent: str, line: str, style: str) -> None:
        from rich.text import Text

        text = line.lstrip(" ")
        margin = f"{agent:<{max(self._names, SHORTEST_NAME)}} │ "
        indent = line[: len(line) - len(text)]
        for part in self._wrapped(Text(text, style=style), len(margin) + len(indent)):
            self._console.print(Text(margin, style="magenta") + indent + part, highlight=False, soft_wrap=True)

    def _wrapped(self, text: Text, margin: int) -> Iterable[Text]:
        """The line in pieces that have room; on a pipe, and where the window is narrow, as it is."""
        room = self._console.width - margin
        if not self._console.is_terminal or room < NARROWEST or text.cell_len <= room:
            return [text]
        return text.wrap(self._console, room)


def terminal_console() -> Console:
    """A console on standard output that writes a question mark for what the output's encoding lacks."""
    from rich.console import Console

    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return Console(highlight=False)


def diff_style(line: str) -> str:
    """The colour of a line of a diff."""
    return "bold" if line.startswith(("--- ", "+++ ")) else _DIFF_STYLES.get(line[:1], "")
