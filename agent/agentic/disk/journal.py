"""Writes that survive a crash: an intent before, the effect, and the word that it is done."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from agentic.change import Applied, Snapshot, minimal_edits
from agentic.errors import Refusal
from agentic.merge import merge
from agentic.ports.store import Intent, Store
from agentic.ports.workspace import Workspace
from agentic.task import new_id

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Journal:
    """Where the writes of one turn are written down."""

    store: Store
    session: str
    turn: str


def edit_intent(session: str, turn: str, path: str, before: str | None, after: str) -> Intent:
    """The intent to give a file a new text; `before` is None when there is no file yet."""
    return Intent(
        id=new_id("i"),
        session=session,
        turn=turn,
        kind="edit",
        target=path,
        before_hash=text_hash(before),
        after_hash=text_hash(after),
        before=before or "",
        after=after,
        existed=before is not None,
    )


async def journalled(
    store: Store, intent: Intent, write: Callable[[], Awaitable[Applied | Refusal]]
) -> Applied | Refusal:
    """Make an effect with its intent written down before and settled after.

    Once begun it goes to its end, so that a cancelled task leaves no intent whose outcome is unknown; an intent that
    was prepared and never settled tells of a crash. A write that raises leaves it so, for `recover`.

    :raises StoreError: when the intent cannot be written down; then nothing was done.
    """

    async def effect() -> Applied | Refusal:
        await store.prepare(intent)
        result = await write()
        await store.settle(intent.id, "done" if isinstance(result, Applied) else "failed")
        return result

    return await to_its_end(effect())


def recover(intent: Intent, text_now: str | None) -> Literal["done", "redo", "conflict"]:
    """What a prepared edit became, told by the world: `text_now` is the file's text, None where there is no file."""
    now = text_hash(text_now)
    if now == intent.after_hash:
        return "done"
    return "redo" if now == intent.before_hash else "conflict"


async def settle_interrupted(store: Store, workspace: Workspace, session: str) -> None:
    """Say of each intent that a crash left open what became of it.

    An edit is settled by looking at the file: it is there, whatever else was typed since, or it was not made. Nothing
    is done again. What a command did is not known, and it counts as failed.
    """
    for intent in await store.intents(session):
        if intent.state != "prepared":
            continue
        done = False
        if intent.kind == "edit":
            now = await workspace.read(intent.target)
            done = not isinstance(now, Refusal) and recover(intent, now.text if now.exists else None) == "done"
            done = done or (isinstance(now, Snapshot) and _holds(intent, now))
        await store.settle(intent.id, "done" if done else "failed")


def _holds(intent: Intent, now: Snapshot) -> bool:
    """Whether a file that was there before has the edit, among what was typed since."""
    edits = minimal_edits(intent.before, intent.after)
    return intent.existed and now.exists and merge(intent.before, edits, now.text) == now.text


def text_hash(text: str | None) -> str:
    """The hash of a whole text, empty for no file."""
    return "" if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end also when the caller is cancelled, which then takes effect after it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
