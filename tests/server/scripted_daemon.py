"""A stand-in for the daemon that follows a script: `python scripted_daemon.py good|stale|rude|dead`.

good: proposes the right edit, makes it, asks for a command. stale: first tries the edit against an old version.
rude: puts back the text on disk, without what the user typed. dead: ends in the middle of the task.
"""

from __future__ import annotations

import json
import sys
from typing import Any

Json = dict[str, Any]
WRONG, RIGHT = "TOP_FLOOR - 1)", "TOP_FLOOR)"


def read() -> Json:
    length = 0
    while (line := sys.stdin.buffer.readline()) != b"\r\n":
        if not line:
            sys.exit(1)
        if line.startswith(b"Content-Length:"):
            length = int(line.split(b":")[1])
    return json.loads(sys.stdin.buffer.read(length))


def send(message: Json) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    sys.stdout.buffer.flush()


def event(kind: str, **fields: Any) -> None:
    origin = {"seq": 1, "sessionId": "s", "turnId": "t", "agent": "main"}
    send({"method": "agentic/event", "params": {"kind": kind, **origin, **fields}})


def ask(method: str, params: Json) -> Any:
    """A request to the client; its answer."""
    send({"id": "ours", "method": method, "params": params})
    while (message := read()).get("id") != "ours":
        assert message["method"] == "textDocument/didChange"
    return message["result"]


def expect(method: str) -> Json:
    message = read()
    assert message["method"] == method, f"{method} should come, not {message}"
    return message


def answer(message: Json, result: Any) -> None:
    send({"id": message["id"], "result": result})


def edit(uri: str, version: int, text: str, new_text: str) -> Any:
    """Replace the wrong words where they stand in `text`, or everything by `new_text`."""
    before = text[: text.index(WRONG)]
    start = {"line": before.count("\n"), "character": len(before) - before.rindex("\n") - 1}
    end = {**start, "character": start["character"] + len(WRONG)}
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 9999, "character": 0}} if new_text else None
    change = {"range": span or {"start": start, "end": end}, "newText": new_text or RIGHT}
    document = {"uri": uri, "version": version}
    return ask("workspace/applyEdit", {"edit": {"documentChanges": [{"textDocument": document, "edits": [change]}]}})


def work(how: str, on_disk: str, document: Json, text: str) -> None:
    """The turn, from the first event to the last."""
    hunk = {"id": "h1", "startLine": 1, "endLine": 2, "diff": ""}
    path = "lighthouse/keeper.py"
    event("turnStarted", text="Mend it.", mode="ask")
    proposal = {"item": "p1", "call": "c1", "path": path, "version": "2", "creates": False, "hunks": [hunk]}
    event("editProposed", **proposal, diff=f"-{WRONG}\n+{RIGHT}\n")
    review = expect("workspace/executeCommand")
    assert review["params"] == {
        "command": "agentic.review",
        "arguments": [{"itemId": "p1", "hunks": {"h1": "accept"}}],
    }
    answer(review, {})
    uri, version = document["uri"], document["version"]
    if how == "stale":
        assert not edit(uri, version - 1, text, "")["applied"]
    assert edit(uri, version, text, on_disk.replace(WRONG, RIGHT) if how == "rude" else "")["applied"]
    event("editResolved", item="p1", outcome="applied", path=path, saved=False)
    options = [
        {"id": "no", "label": "Reject", "kind": "reject_once"},
        {"id": "yes", "label": "Allow", "kind": "allow_once"},
    ]
    question = {"questionId": "q", "title": "Run the tests", "detail": "python3", "options": options, "freeText": False}
    send({"id": "ours", "method": "agentic/ask", "params": question})
    event("asked", question="q", call="c1", title="Run the tests", detail="python3", options=options)
    expect("textDocument/didSave")
    answered = read()
    assert answered["result"] == {"option": "yes"}, answered
    event("turnFinished", stopReason="end_turn", summary="It works.", metrics={}, files=[path])


def main() -> None:
    how = sys.argv[1]
    hello = expect("initialize")
    options = hello["params"]["initializationOptions"]
    assert options["mode"] == "ask"
    assert options["endpoints"][0]["url"].startswith("http://127.0.0.1:")
    assert hello["params"]["capabilities"]["experimental"]["agentic"] == {"events": True, "ask": True}
    answer(hello, {"capabilities": {}})
    expect("initialized")
    opened = expect("textDocument/didOpen")["params"]["textDocument"]
    typed = expect("textDocument/didChange")["params"]
    task = expect("workspace/executeCommand")
    assert task["params"]["command"] == "agentic.runTask"
    answer(task, {"sessionId": "s", "turnId": "t"})
    if how == "dead":
        sys.exit("the daemon has a bad day")
    work(how, opened["text"], typed["textDocument"], typed["contentChanges"][0]["text"])
    expect("textDocument/didSave")
    answer(expect("shutdown"), None)
    expect("exit")


if __name__ == "__main__":
    main()
