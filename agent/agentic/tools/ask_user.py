"""Ask the user."""

from __future__ import annotations

import msgspec

from agentic.events import Option
from agentic.ports.asker import Question
from agentic.task import new_id
from agentic.tools.base import Tool, ToolContext, ToolResult
from agentic.tools.questions import ask

_NO_ANSWER = "No answer came, which permits nothing. Go on with your best judgement and say what you assumed, or stop."


class AskUser(msgspec.Struct, frozen=True, omit_defaults=True):
    question: str
    options: list[str] = []


async def run(context: ToolContext, call: str, arguments: AskUser) -> ToolResult:
    options = [Option(str(number), label) for number, label in enumerate(arguments.options, 1)]
    question = Question(
        new_id("question"),
        context.task.session,
        context.task.turn,
        call,
        arguments.question,
        "",
        options,
        free_text=True,
    )
    reply = await ask(context, question)
    chosen = next((option.label for option in options if option.id == reply.option), "")
    answer = "; ".join(part for part in (chosen, reply.text) if part)
    if reply.by != "user" or not answer:
        return ToolResult(_NO_ANSWER, "timeout")
    return ToolResult(f"The user answered: {answer}")


def title(arguments: AskUser) -> str:
    return f"Ask: {arguments.question}"


ASK_USER = Tool(
    name="ask_user",
    kind="other",
    description="Ask the user what only they can decide. Give short options where there are some.",
    arguments=AskUser,
    run=run,
    title=title,
)
