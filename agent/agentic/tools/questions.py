"""Asking a person, with both ends of it as events."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from agentic.errors import Refusal
from agentic.events import Answered, Asked
from agentic.ports.asker import Question, Reply
from agentic.task import new_id
from agentic.tools.base import ToolContext

APPROVAL_SECONDS = 3600.0
"""How long an approval that was asked for may be used."""


async def ask(context: ToolContext, question: Question) -> Reply:
    """Put the question and wait. `Asked` is closed by `Answered` on every path."""
    context.emit(
        Asked(
            **context.origin,
            question=question.id,
            call=question.call,
            title=question.title,
            detail=question.detail,
            options=list(question.options),
            free_text=question.free_text,
            binding=question.binding,
        )
    )
    reply = Reply("", "client_error")
    try:
        reply = await context.asker.ask(replace(question, agent=context.origin["agent"]))
    except asyncio.CancelledError:
        reply = Reply("", "cancelled")
        raise
    finally:
        context.emit(
            Answered(**context.origin, question=question.id, option=reply.option, by=reply.by, text=reply.text)
        )
    return reply


async def approve(context: ToolContext, call: str, title: str, detail: str, binding: str) -> Refusal | None:
    """Ask for a yes to what `binding` stands for; None when it was given and has been used."""
    name = new_id("approval")
    await context.store.offer(name, binding, time.time() + APPROVAL_SECONDS)
    reply = await ask(
        context,
        Question(name, context.task.session, context.task.turn, call, title, detail, binding=binding),
    )
    if not reply.allowed:
        said = "The user said: " if reply.by == "user" else ""
        reason = f" {said}{reply.text}" if reply.text else ""
        step = "Do not run it, or the like of it by another route; go on without it, or ask the user."
        return Refusal("rejected", f"{_who(reply)} did not allow this.{reason}", step)
    if not await context.store.use(name, binding):
        return Refusal("denied", "The approval had expired or was used before.", "Ask for it again if it is needed.")
    return None


def _who(reply: Reply) -> str:
    return {"user": "The user", "policy": "Policy"}.get(reply.by, "Nobody answered, and so the user")
