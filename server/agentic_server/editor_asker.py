"""The asker port over an editor: questions as requests, proposals by what the client can show.

Whoever answers first wins: the client's answer to our request, or the command `agentic.respond`. Only a clear answer
counts; a dismissed question, an unknown option, an error or a closed connection means no.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from agentic.events import Option
from agentic.ports.asker import Proposal, Question, Reply, Verdict
from agentic.safety.approvals import visible
from agentic.text import clip, split_lines
from agentic_server.editor_port import EditorClient, EditorError
from agentic_server.protocol import AskParams, AskResult
from agentic_server.review import Reviews

SHOW_SECONDS = 2.0
"""How long an editor may take to show a document before the question is put without it."""
DETAIL_CHARACTERS = 2000
TOO_LONG = "It is too long to be shown here, and what is not shown whole cannot be allowed."
BESIDE = "All of it stands in the document that has just been opened."
LATER = "Answer in the task instead"
APPLY, REJECT = "Apply", "Reject"


class EditorAsker:
    """Implements `Asker`. A person gets all the time they need; cancelling the task withdraws the question."""

    def __init__(self, editor: EditorClient, reviews: Reviews) -> None:
        self._editor = editor
        self._reviews = reviews
        self._waiting: dict[str, tuple[Question, asyncio.Future[Reply]]] = {}

    async def ask(self, question: Question) -> Reply:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[question.id] = (question, answered)
        try:
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(self._put(question, answered))
                gone = group.create_task(self._give_up(answered))
                reply = await answered
                asked.cancel()
                gone.cancel()
            return reply
        finally:
            del self._waiting[question.id]

    def answer(self, question_id: str, option: str, text: str = "") -> bool:
        """Take the answer that came as a command; False when the question is unknown or has been answered."""
        question, answered = self._waiting.get(question_id, (None, None))
        if question is None or answered is None or answered.done():
            return False
        answered.set_result(_reply(question, option, text))
        return True

    async def review(self, proposal: Proposal) -> Verdict:
        """Our own clients show proposals by themselves; others as diagnostics with quick fixes; else as a question."""
        profile = self._editor.profile
        if not (profile.events or self._editor.code_actions or profile.show_message_request):
            return Verdict(by="client_error", reason="This editor can neither show the change nor ask about it.")
        async with asyncio.TaskGroup() as group:
            fallback = None if profile.events else group.create_task(self._ask_instead(proposal))
            verdict = await self._reviews.review(proposal, visible=not profile.events)
            if fallback is not None:
                fallback.cancel()
        return verdict

    async def _put(self, question: Question, answered: asyncio.Future[Reply]) -> None:
        """Send the question by the best way that the client has; the answer, if it is one, closes it."""
        profile = self._editor.profile
        try:
            if profile.asks:
                reply = await self._by_request(question)
            elif profile.show_message_request:
                reply = await self._by_message(question)
            elif profile.events:
                return
            else:
                reply = Reply("", "client_error")
        except EditorError:
            reply = Reply("", "client_error")
        if reply is not None and not answered.done():
            answered.set_result(reply)

    async def _by_request(self, question: Question) -> Reply:
        params = AskParams(
            session_id=question.session,
            turn_id=question.turn,
            question_id=question.id,
            call=question.call,
            title=question.title,
            detail=question.detail,
            options=list(question.options),
            free_text=question.free_text,
            agent=question.agent,
        )
        answer = await self._editor.ask(cast("dict[str, object]", msgspec.to_builtins(params)))
        if answer is None:
            return Reply("")
        try:
            result = msgspec.convert(answer, AskResult)
        except msgspec.ValidationError:
            return Reply("", "client_error")
        return _reply(question, result.option, result.text or "")

    async def _by_message(self, question: Question) -> Reply | None:
        """None when the user wants to answer by a command instead. What is asked to be allowed is shown whole."""
        if not question.binding or len(question.detail) <= DETAIL_CHARACTERS:
            return await self._choose(question, clip(question.detail, DETAIL_CHARACTERS))
        with tempfile.TemporaryDirectory(prefix="agentic-") as folder:
            if not await self._show(_detail_file(folder, question)):
                return Reply("", "client_error", TOO_LONG)
            return await self._choose(question, BESIDE)

    async def _choose(self, question: Question, detail: str) -> Reply | None:
        labels = _labels(question.options)
        titles = [*labels, LATER] if question.free_text else list(labels)
        message = f"{question.headline}\n\n{detail}".strip()
        chosen = await self._editor.show_message_request(message, titles)
        if chosen == LATER and question.free_text:
            return None
        return Reply("") if chosen is None else _reply(question, labels.get(chosen, "?"), "")

    async def _give_up(self, answered: asyncio.Future[Reply]) -> None:
        await self._editor.gone()
        if not answered.done():
            answered.set_result(Reply("", "client_error"))

    async def _ask_instead(self, proposal: Proposal) -> None:
        """Where no document with quick fixes is before the user, a diff is shown and one question asked."""
        if self._editor.code_actions:
            await self._reviews.out_of_sight(proposal)
        if not self._editor.profile.show_message_request:
            reason = "The file is not open, and this editor cannot ask about it."
            self._reviews.decide(proposal.id, {}, by="client_error", reason=reason)
            return
        try:
            chosen = await self._shown_and_asked(proposal)
        except EditorError as error:
            self._reviews.decide(proposal.id, {}, by="client_error", reason=str(error))
            return
        accepted = {hunk.id for hunk in proposal.hunks} if chosen == APPLY else set[str]()
        self._reviews.decide(proposal.id, dict.fromkeys(accepted, "accept"))

    async def _shown_and_asked(self, proposal: Proposal) -> str | None:
        lines = split_lines(proposal.diff)
        added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
        removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
        what = "Create" if proposal.change.creates else "Change"
        message = f"{what} {visible(proposal.change.path)}? (+{added} -{removed})"
        with tempfile.TemporaryDirectory(prefix="agentic-") as folder:
            if not await self._show(_diff_file(folder, proposal)):
                if len(proposal.diff) > DETAIL_CHARACTERS:
                    raise EditorError(TOO_LONG)
                message += f"\n\n{visible(proposal.diff)}"
            return await self._editor.show_message_request(message, [APPLY, REJECT])

    async def _show(self, path: str) -> bool:
        """Whether the user has it before their eyes."""
        if not self._editor.profile.show_document:
            return False
        try:
            async with asyncio.timeout(SHOW_SECONDS):
                return await self._editor.show_document(path)
        except (TimeoutError, EditorError):
            return False


def _reply(question: Question, option: str, text: str) -> Reply:
    known = {one.id for one in question.options}
    allowed_text = text if question.free_text else ""
    if option in known:
        return Reply(option, "user", allowed_text)
    return Reply("", "user" if option == "" else "client_error", allowed_text)


def _labels(options: Sequence[Option]) -> dict[str, str]:
    """Each option's id by a label that no other has, for the answer is the label alone."""
    labels: dict[str, str] = {}
    for option in options:
        label, number = option.label, 2
        while label in labels or label == LATER:
            label, number = f"{option.label} ({number})", number + 1
        labels[label] = option.id
    return labels


def _detail_file(folder: str, question: Question) -> str:
    path = Path(folder) / ("question.diff" if "\n+++ " in question.detail else "question.md")
    path.write_text(f"{question.headline}\n\n{question.detail}\n", encoding="utf-8", errors="replace", newline="")
    return str(path)


def _diff_file(folder: str, proposal: Proposal) -> str:
    path = Path(folder) / f"{proposal.change.path.rpartition('/')[2]}.diff"
    path.write_text(proposal.diff, encoding="utf-8", errors="replace", newline="")
    return str(path)
