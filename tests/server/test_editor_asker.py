from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_editor import FULL, FakeEditor

from agentic.change import ABSENT, Change, minimal_edits, unified_diff
from agentic.events import Hunk, Option
from agentic.ports.asker import Proposal, Question, Reply, Verdict
from agentic.safety.paths import Roots
from agentic_server.client_profile import ClientProfile
from agentic_server.editor_asker import EditorAsker
from agentic_server.editor_port import EditorError
from agentic_server.review import Reviews

QUESTION = Question("q1", "s", "t", "c", "Run it?", "make test")
OURS = replace(FULL, asks=True, events=True)
MUTE = replace(FULL, show_message_request=False, show_document=False)


def asker_for(editor: FakeEditor, root: Path) -> EditorAsker:
    return EditorAsker(editor, Reviews(editor, Roots([root]), settle=0.05))


Ask = Callable[[ClientProfile, list[object]], Awaitable[Reply]]


@pytest.fixture
def asked(tmp_path: Path) -> Ask:
    async def ask(profile: ClientProfile, answers: list[object]) -> Reply:
        editor = FakeEditor(profile)
        editor.answers = answers
        return await asker_for(editor, tmp_path).ask(QUESTION)

    return ask


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ({"option": "allow_once"}, Reply("allow_once")),
        ({"option": "reject_once"}, Reply("reject_once")),
        ({"option": "allow_once", "text": "not asked for"}, Reply("allow_once")),
        ({"option": "yes, sure"}, Reply("", "client_error")),
        ({"option": ""}, Reply("")),
        (None, Reply("")),
        ({"option": True}, Reply("", "client_error")),
        ("allow_once", Reply("", "client_error")),
        (EditorError("method not found"), Reply("", "client_error")),
    ],
)
async def test_only_a_known_option_counts(asked: Ask, answer: object, reply: Reply):
    got = await asked(OURS, [answer])
    assert got == reply
    assert got.allowed == (reply.option == "allow_once")


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ("Allow", Reply("allow_once")),
        ("Reject", Reply("reject_once")),
        ("allow_once", Reply("", "client_error")),
        (None, Reply("")),
        (EditorError("no"), Reply("", "client_error")),
    ],
)
async def test_other_clients_are_asked_with_labels(asked: Ask, answer: object, reply: Reply):
    assert await asked(FULL, [answer]) == reply


async def test_labels_are_made_unique(tmp_path: Path):
    editor = FakeEditor()
    editor.answers = ["Allow (2)"]
    options = [Option("a", "Allow"), Option("b", "Allow")]
    reply = await asker_for(editor, tmp_path).ask(replace(QUESTION, options=options))
    assert reply == Reply("b")
    assert editor.questions == [("Run it?\n\nmake test", ["Allow", "Allow (2)"])]


async def test_the_request_names_the_question(tmp_path: Path):
    editor = FakeEditor(OURS)
    editor.answers = [{"option": "", "text": "the second one"}]
    reply = await asker_for(editor, tmp_path).ask(replace(QUESTION, free_text=True))
    assert reply == Reply("", text="the second one")
    [question] = editor.questions
    assert question == {
        "sessionId": "s",
        "turnId": "t",
        "questionId": "q1",
        "call": "c",
        "title": "Run it?",
        "detail": "make test",
        "options": [
            {"id": "allow_once", "label": "Allow", "kind": "allow_once"},
            {"id": "reject_once", "label": "Reject", "kind": "reject_once"},
        ],
        "freeText": True,
        "agent": "main",
    }


@pytest.mark.parametrize("profile", [OURS, FULL])
async def test_the_command_may_answer_first_and_then_the_request_is_withdrawn(tmp_path: Path, profile: ClientProfile):
    editor = FakeEditor(profile)
    asker = asker_for(editor, tmp_path)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(asker.ask(QUESTION))
        await editor.asked.wait()
        assert not asker.answer("q2", "allow_once")
        assert asker.answer("q1", "allow_once")
        assert not asker.answer("q1", "reject_once")
    assert asking.result() == Reply("allow_once")
    assert editor.withdrawn == editor.questions
    assert not asker.answer("q1", "allow_once")


async def test_an_unknown_option_by_command_means_no(tmp_path: Path):
    editor = FakeEditor(OURS)
    asker = asker_for(editor, tmp_path)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(asker.ask(QUESTION))
        await editor.asked.wait()
        assert asker.answer("q1", "sure")
    assert not asking.result().allowed


async def test_free_text_can_be_given_later_by_command(tmp_path: Path):
    editor = FakeEditor()
    editor.answers = ["Answer in the task instead"]
    asker = asker_for(editor, tmp_path)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(asker.ask(replace(QUESTION, free_text=True)))
        await editor.asked.wait()
        await asyncio.sleep(0)
        assert not asking.done()
        assert asker.answer("q1", "", "use tabs")
    assert asking.result() == Reply("", text="use tabs")


async def test_a_closed_connection_means_no(tmp_path: Path):
    editor = FakeEditor()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(asker_for(editor, tmp_path).ask(QUESTION))
        await editor.asked.wait()
        editor.closed.set()
    assert asking.result() == Reply("", "client_error")


async def test_cancelling_withdraws_the_question(tmp_path: Path):
    editor = FakeEditor()
    asker = asker_for(editor, tmp_path)
    asking = asyncio.create_task(asker.ask(QUESTION))
    await editor.asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert editor.withdrawn == editor.questions
    assert not asker.answer("q1", "allow_once")


async def test_a_client_that_can_ask_nobody_means_no(asked: Ask):
    assert await asked(MUTE, []) == Reply("", "client_error")


def proposal(path: str, before: str, after: str) -> Proposal:
    edits = minimal_edits(before, after)
    change = Change(path, "v1" if before else ABSENT, before, edits)
    hunks = [Hunk(f"h{i}", 1, 2, "-\n+\n") for i in range(1, len(edits) + 1)]
    return Proposal("p1", "s", "t", "c", change, hunks, unified_diff(path, before, after))


async def test_a_closed_file_is_shown_as_a_diff_and_asked_about(tmp_path: Path):
    editor = FakeEditor()
    editor.answers = ["Apply"]
    verdict = await asker_for(editor, tmp_path).review(proposal("new.py", "", "a\nb\n"))
    assert verdict == Verdict({"h1": "accept"})
    assert editor.questions == [("Create new.py? (+2 -0)", ["Apply", "Reject"])]
    assert editor.documents_shown == ["--- a/new.py\n+++ b/new.py\n@@ -0,0 +1,2 @@\n+a\n+b\n"]
    assert editor.diagnostics[str(tmp_path / "new.py")] == []


@pytest.mark.parametrize("answer", ["Reject", None, "apply", EditorError("no")])
async def test_anything_but_apply_rejects(tmp_path: Path, answer: object):
    editor = FakeEditor()
    editor.answers = [answer]
    verdict = await asker_for(editor, tmp_path).review(proposal("new.py", "", "a\n"))
    assert verdict.hunks == {"h1": "reject"}


async def test_an_open_file_is_not_asked_about_until_it_is_closed(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text("one\n")
    editor = FakeEditor()
    editor.open(file)
    editor.answers = ["Reject"]
    async with asyncio.TaskGroup() as group:
        reviewing = group.create_task(asker_for(editor, tmp_path).review(proposal("a.txt", "one\n", "two\n")))
        await editor.asked.wait()
        assert editor.questions == []
        assert len(editor.diagnostics[str(file)]) == 1
        editor.close(file)
    assert reviewing.result().hunks == {"h1": "reject"}
    assert len(editor.questions) == 1


async def test_our_own_client_shows_the_proposal_itself(tmp_path: Path):
    editor = FakeEditor(OURS)
    reviews = Reviews(editor, Roots([tmp_path]), settle=0.05)
    async with asyncio.TaskGroup() as group:
        reviewing = group.create_task(EditorAsker(editor, reviews).review(proposal("a.txt", "", "a\n")))
        await asyncio.sleep(0)
        assert reviews.decide("p1", {"h1": "accept"})
    assert reviewing.result() == Verdict({"h1": "accept"})
    assert (editor.questions, editor.diagnostics) == ([], {})


@pytest.mark.parametrize("code_actions", [True, False])
async def test_a_client_that_can_show_nothing_rejects_with_the_reason(tmp_path: Path, code_actions: bool):
    editor = FakeEditor(MUTE, code_actions=code_actions)
    verdict = await asker_for(editor, tmp_path).review(proposal("a.txt", "", "a\n"))
    assert verdict.by == "client_error"
    assert "accept" not in verdict.hunks.values()
    assert verdict.reason


LONG = replace(QUESTION, title="Apply all?", detail="+ line\n" * 500, binding="b", agent="web")


async def test_what_is_too_long_for_a_message_is_opened_whole_beside_the_question(tmp_path: Path):
    editor = FakeEditor()
    editor.answers = ["Allow"]
    assert (await asker_for(editor, tmp_path).ask(LONG)).allowed
    [shown] = editor.documents_shown
    assert shown == f"web: Apply all?\n\n{LONG.detail}\n"
    assert editor.questions == [
        ("web: Apply all?\n\nAll of it stands in the document that has just been opened.", ["Allow", "Reject"])
    ]


async def test_what_cannot_be_shown_whole_cannot_be_allowed(tmp_path: Path):
    editor = FakeEditor(replace(FULL, show_document=False))
    reply = await asker_for(editor, tmp_path).ask(LONG)
    assert (reply.by, editor.questions, editor.documents_shown) == ("client_error", [], [])
