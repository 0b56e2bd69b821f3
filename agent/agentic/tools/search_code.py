"""Search for code by words and names."""

from __future__ import annotations

import msgspec

from agentic.context.regions import Region
from agentic.context.retrieval import find
from agentic.errors import Refusal
from agentic.ports.code_index import IndexState
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.lines import cut

MAX_RESULTS = 20
DEFAULT_RESULTS = 10
SECONDS = 5.0
"""For the whole search; what has come by then is told."""
MAX_LINE_CHARS = 160


class SearchCode(msgspec.Struct, frozen=True, omit_defaults=True):
    query: str
    limit: int = DEFAULT_RESULTS


async def run(context: ToolContext, call: str, arguments: SearchCode) -> ToolResult:
    if not any(character.isalnum() for character in arguments.query):
        step = "Give words or names that the code would hold; for other text use search_text."
        return refused(Refusal("bad_arguments", "The query holds no word.", step))
    limit = min(max(1, arguments.limit), MAX_RESULTS)
    regions = await find(arguments.query, context.workspace, context.index, limit, SECONDS)
    progress = _progress(context.index.state)
    if not regions:
        step = "Try other words, or search_text for an exact text, or find_files for a name."
        return ToolResult("\n".join(filter(None, [f"Nothing found for {arguments.query}. {step}", progress])))
    more = "[Ranked by words and names, the best first. Read on with read_file and the line as offset.]"
    return ToolResult("\n".join(filter(None, [*map(_shown, regions), more, progress])))


def _shown(region: Region) -> str:
    """The place, with its first line, its best one and what follows it."""
    wanted = {region.first, region.line, region.line + 1}
    numbered = ((n, line) for n, line in enumerate(region.lines, region.first) if n in wanted and line.strip())
    return "\n".join([region.place, *(f"{n}\t{cut(line, MAX_LINE_CHARS)}" for n, line in numbered)])


def _progress(state: IndexState) -> str:
    if state.complete:
        return ""
    total = f" of {state.total}" if state.total is not None else ""
    return f"[The index is still being built: {state.files}{total} files so far, so more may be found later.]"


def title(arguments: SearchCode) -> str:
    return f"Search the code for {arguments.query}"


SEARCH_CODE = Tool(
    name="search_code",
    kind="search",
    description=(
        "Find where something is done or defined when its exact text is not known: a ranked search by words and names"
        " (`retry after header`, `Gate.slot`) over code, docs and definitions. Gives places with a few lines each."
        " For an exact text, a regular expression or every occurrence use search_text."
    ),
    arguments=SearchCode,
    run=run,
    title=title,
)
