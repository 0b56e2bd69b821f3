"""Edits through the door: proposed, judged hunk by hunk, applied once, told to the model."""

from dataclasses import replace
from typing import Any

import pytest
from toolbench import Bench

from agentic.events import AnsweredBy
from agentic.ports.asker import Proposal, Question, Reply, ScriptedAsker, Verdict
from agentic.ports.store import MemoryStore

TEN = "".join(f"line {number}\n" for number in range(1, 11))
BOTH = {"path": "a.txt", "edits": [{"old": "line 2\n", "new": "LINE 2\n"}, {"old": "line 9\n", "new": "LINE 9\n"}]}


class Judge(ScriptedAsker):
    """Gives one verdict, made from the proposal's hunk ids."""

    def __init__(self, *words: Any, amended: str = "", by: AnsweredBy = "user", reason: str = "") -> None:
        super().__init__()
        self.words, self.text, self.reason = words, amended, reason
        self.by: AnsweredBy = by

    async def ask(self, question: Question) -> Reply:
        raise AssertionError("no question is expected")

    async def review(self, proposal: Proposal) -> Verdict:
        hunks = {hunk.id: word for hunk, word in zip(proposal.hunks, self.words, strict=False)}
        texts = {hunk.id: self.text for hunk in proposal.hunks if hunks.get(hunk.id) == "amend" and self.text}
        return Verdict(hunks, texts, self.by, self.reason)


async def test_an_edit_is_proposed_accepted_and_applied() -> None:
    bench = Bench({"a.txt": "one\r\ntwo\r\nthree\r\n"}, ["accept"])
    result = await bench.call("edit_file", {"path": "a.txt", "old": "two", "new": "2\n2b"})
    assert bench.workspace.files == {"a.txt": "one\r\n2\r\n2b\r\nthree\r\n"}
    assert result.text == "Changed a.txt.\n1\tone\n2\t2\n3\t2b\n4\tthree"
    diff = "@@ -2,1 +2,2 @@\n-two\r\n+2\r\n+2b\r\n"
    assert bench.transcript[1:] == [
        {
            "kind": "editProposed",
            "item": "edit-1",
            "call": "call-1",
            "path": "a.txt",
            "version": "1",
            "creates": False,
            "diff": "--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,4 @@\n one\r\n-two\r\n+2\r\n+2b\r\n three\r\n",
            "hunks": [{"id": "edit-1/h0", "startLine": 2, "endLine": 3, "diff": diff}],
        },
        {
            "kind": "editResolved",
            "item": "edit-1",
            "outcome": "applied",
            "path": "a.txt",
            "reason": "",
            "version": "2",
            "saved": True,
            "hunks": {"edit-1/h0": "accept"},
        },
        {"kind": "toolFinished", "item": "call-1", "status": "completed", "text": result.text, "code": ""},
    ]


async def test_accept_edits_mode_asks_nobody() -> None:
    bench = Bench({"a.txt": "one\n"}, mode="accept-edits")
    assert (await bench.call("edit_file", {"path": "a.txt", "old": "one", "new": "two"})).code == ""
    assert bench.workspace.files == {"a.txt": "two\n"}
    assert bench.kinds == ["toolStarted", "editProposed", "editResolved", "toolFinished"]


async def test_only_accepted_hunks_are_applied() -> None:
    bench = Bench({"a.txt": TEN}, asker=Judge("reject", "accept", reason="keep the title"))
    result = await bench.call("edit_file", BOTH)
    assert bench.workspace.files["a.txt"] == TEN.replace("line 9", "LINE 9")
    assert "The user rejected part 1 of 2: do not propose it again unchanged. Reason: keep the title" in result.text
    assert bench.transcript[2]["hunks"] == {"edit-1/h0": "reject", "edit-1/h1": "accept"}


async def test_an_amended_hunk_has_the_user_s_text() -> None:
    bench = Bench({"a.txt": TEN}, asker=Judge("amend", "accept", amended="mine"))
    result = await bench.call("edit_file", BOTH)
    assert bench.workspace.files["a.txt"] == TEN.replace("line 2", "mine").replace("line 9", "LINE 9")
    assert "The user amended the edit" in result.text
    assert "2\tmine" in result.text


@pytest.mark.parametrize(
    ("judge", "outcome"),
    [
        (Judge("reject", "reject"), "rejected"),
        (Judge(), "rejected"),
        (Judge("yes", "maybe"), "rejected"),
        (Judge("amend", "amend"), "rejected"),
        (Judge("accept", "accept", by="timeout"), "rejected"),
        (Judge("accept", "accept", by="client_error"), "rejected"),
        (Judge("accept", "accept", by="cancelled"), "cancelled"),
    ],
)
async def test_anything_but_a_clear_yes_applies_nothing(judge: Judge, outcome: str) -> None:
    bench = Bench({"a.txt": TEN}, asker=judge)
    result = await bench.call("edit_file", BOTH)
    assert result.code == "rejected"
    assert "Do not propose it again unchanged" in result.text
    assert bench.workspace.files == {"a.txt": TEN}
    assert [event["outcome"] for event in bench.transcript if event["kind"] == "editResolved"] == [outcome]
    assert await bench.store.intents("s-1") == []


class SpentStore(MemoryStore):
    """A store whose approvals have all expired."""

    async def use(self, approval: str, binding: str) -> bool:
        return False


async def test_a_spent_approval_applies_nothing() -> None:
    bench = Bench({"a.txt": "one\n"}, ["accept"])
    bench.context = replace(bench.context, store=SpentStore())
    result = await bench.call("edit_file", {"path": "a.txt", "old": "one", "new": "two"})
    assert result.code == "denied"
    assert bench.workspace.files == {"a.txt": "one\n"}
    assert bench.transcript[2]["outcome"] == "rejected"


class Typing(ScriptedAsker):
    """Accepts, but somebody types into the file meanwhile."""

    def __init__(self, files: dict[str, str], typed: str) -> None:
        super().__init__(["accept"])
        self.files, self.typed = files, typed

    async def review(self, proposal: Proposal) -> Verdict:
        self.files["a.txt"] = self.typed
        return await super().review(proposal)


@pytest.mark.parametrize(
    ("typed", "after", "code", "outcome"),
    [
        ("new\n" + TEN, "new\n" + TEN.replace("line 9", "LINE 9"), "", "applied"),
        (TEN.replace("line 9", "mine"), TEN.replace("line 9", "mine"), "conflict", "conflict"),
    ],
)
async def test_what_the_user_typed_meanwhile_stays(typed: str, after: str, code: str, outcome: str) -> None:
    bench = Bench({"a.txt": TEN})
    bench.context = replace(bench.context, asker=Typing(bench.workspace.files, typed))
    result = await bench.call("edit_file", {"path": "a.txt", "old": "line 9\n", "new": "LINE 9\n"})
    assert result.code == code
    assert bench.workspace.files["a.txt"] == after
    assert bench.transcript[2]["outcome"] == outcome
    assert ("carried over" in result.text) == (not code)


async def test_writing_needs_the_version_that_was_read() -> None:
    bench = Bench({"a.txt": "one\n"}, mode="auto")
    assert (await bench.call("write_file", {"path": "a.txt", "content": "two\n"})).code == "stale"
    await bench.call("read_file", {"path": "a.txt"})
    assert (await bench.call("write_file", {"path": "a.txt", "content": "two\n"})).code == ""
    assert (await bench.call("write_file", {"path": "a.txt", "content": "three\n"})).code == ""
    bench.workspace.files["a.txt"] = "typed\n"
    bench.workspace.versions["a.txt"] += 1
    result = await bench.call("write_file", {"path": "a.txt", "content": "four\n"})
    assert (result.code, bench.workspace.files) == ("stale", {"a.txt": "typed\n"})
    missed = await bench.call("edit_file", {"path": "a.txt", "old": "three", "new": "x"})
    assert "was changed since you read it" in missed.text


async def test_a_new_file_is_created_once_accepted() -> None:
    bench = Bench({}, ["reject", "accept"])
    assert (await bench.call("write_file", {"path": "new.txt", "content": "hi\n"})).code == "rejected"
    assert bench.workspace.files == {}
    assert (await bench.call("write_file", {"path": "new.txt", "content": "hi\n"})).text == "Created new.txt."
    assert bench.workspace.files == {"new.txt": "hi\n"}


async def test_a_new_file_that_the_user_amended_is_shown() -> None:
    bench = Bench({}, asker=Judge("amend", amended="bye\n"))
    result = await bench.call("write_file", {"path": "new.txt", "content": "hi\n"})
    assert result.text.startswith("Created new.txt.")
    assert result.text.endswith("1\tbye")
