"""The real daemon asks a scripted client for diagnostics, and what the model reads of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.daemon import PLAIN, PLUGIN, Daemon, Json, Model, call, stage
from support.model_server import Reply
from support.runs import reply, work

OURS = {"events": True, "ask": True, "diagnostics": True}
TELLS: Json = {**PLAIN, "general": {"positionEncodings": ["utf-16"]}, "experimental": {"agentic": OURS}}


async def looked(daemon: Daemon, model: Model, **arguments: Any) -> str:
    """What the tool gives the model."""
    model.play(call("problems", arguments, work()), Reply("Done."))
    await (await daemon.run("what is wrong?")).finished()
    return model.results()[-1]


def item(daemon: Daemon, name: str, *messages: str, **fields: Any) -> Json:
    start = {"line": 0, "character": 4}
    said = [{"range": {"start": start, "end": start}, "message": text, "source": "pyright"} for text in messages]
    return {"uri": daemon.uri(name), "diagnostics": said, **fields}


async def test_the_client_is_asked_and_the_model_reads_its_answer(tmp_path: Path) -> None:
    async with stage(tmp_path, TELLS) as (daemon, model):
        daemon.file("a.py", "x = 1\n")
        daemon.open("a.py", "'😋' x\n")
        daemon.handlers["agentic/diagnostics"] = lambda _: {"items": [item(daemon, "a.py", "no operator", version=1)]}
        assert await looked(daemon, model, paths=["a.py"]) == "a.py:1:4: error: no operator (pyright)"
        assert (await daemon.wait_asked("agentic/diagnostics"))["params"] == {"uris": [daemon.uri("a.py")]}
        daemon.type("a.py", "x = 2\n")
        assert "(pyright, before the last change)" in await looked(daemon, model)
        daemon.handlers["agentic/diagnostics"] = lambda _: {"items": [item(daemon, "a.py", version=2)]}
        assert await looked(daemon, model) == "No problems are known in a.py, says the editor."


async def test_a_client_that_does_not_answer_costs_two_seconds(tmp_path: Path) -> None:
    async with stage(tmp_path, TELLS) as (daemon, model):
        daemon.file("a.py", "x = 1\n")
        daemon.open("a.py", "x = (\n")
        daemon.handlers["agentic/diagnostics"] = daemon.SILENT
        assert "was never closed (syntax of Python" in await looked(daemon, model)


@pytest.mark.parametrize("capabilities", [PLAIN, PLUGIN])
async def test_a_client_that_does_not_offer_it_is_not_asked(tmp_path: Path, capabilities: Json) -> None:
    async with stage(tmp_path, capabilities) as (daemon, model):
        daemon.open("new.py", "def f(:\n")
        model.play(call("problems", {}, work()), Reply("Done."))
        await daemon.run("what is wrong?")
        await daemon.until(lambda: model.requests[1:] or None)
        assert model.results()[-1].startswith("new.py:1:7: error: ")
        assert not [one for one in daemon.requests if one["method"] == "agentic/diagnostics"]


async def test_what_the_user_points_at_is_shown_as_they_see_it(tmp_path: Path) -> None:
    async with stage(tmp_path, TELLS) as (daemon, model):
        daemon.file("src/AGENTS.md", "Use tabs.\n")
        daemon.file("src/a.py", "saved = 1\n")
        daemon.open("src/a.py", "typed = 1\nmore = 2\n")
        daemon.handlers["agentic/diagnostics"] = lambda _: {"items": [item(daemon, "src/a.py", "never used")]}
        model.play(Reply(reply("I see.")))
        await (await daemon.run("Explain @src/a.py:1 and @diagnostics")).finished()
        told = model.requests[0]["messages"][-1]["content"]
        assert '<file path="src/a.py" lines="1-1 of 2">\n1\ttyped = 1\n</file>' in told
        assert "<problems>\nsrc/a.py:1:5: error: never used (pyright)\n</problems>" in told
        assert '<rules from="src/AGENTS.md">\nUse tabs.\n</rules>' in told
