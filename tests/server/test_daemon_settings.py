"""Settings on their way into the real daemon: each source, and what becomes of a bad value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.daemon import PLUGIN, Daemon, Model, environment, started
from support.model_server import Reply
from support.raw_client import ResponseError, python
from support.runs import reply

CONFIGURABLE = {**PLUGIN, "workspace": {**PLUGIN["workspace"], "configuration": True}}


def configured(daemon: Daemon, answer: Any) -> None:
    daemon.handlers["workspace/configuration"] = lambda _: answer


async def modes(daemon: Daemon, model: Model) -> str:
    """The mode of a task that asked for the widest."""
    model.play(Reply(reply("Hello.")))
    turn = await daemon.run("hello", mode="auto")
    await turn.finished()
    return turn.of("turnStarted")[0]["mode"]


BAD: Sequence[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"mode": "wild"}, "mode"),
    ({"limits": {"iterations": 0}}, "limits.iterations"),
    ({"limits": {"minutes": 1}}, "limits.minutes"),
    ({"endpoints": [{"url": "localhost"}]}, "endpoints[0].url"),
    ({"endpoints": []}, "endpoints"),
    ({"temperature": "warm"}, "temperature"),
]


async def test_a_bad_option_is_named_by_every_command_and_the_daemon_lives(tmp_path: Path) -> None:
    for number, (options, key) in enumerate(BAD):
        if number not in (0, len(BAD) - 1):
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        async with started(folder, "http://127.0.0.1:9/v1", options=options) as daemon:
            for command in ("runTask", "sessions", "doctor"):
                with pytest.raises(ResponseError) as error:
                    await daemon.command(f"agentic.{command}", {"task": "x"} if command == "runTask" else {})
                assert key in error.value.message
                assert "initializationOptions" in error.value.message
                assert error.value.data["code"] == "bad_setting"
            assert await daemon.shut_down() == 0


async def test_the_clients_configuration_is_asked_for_checked_and_asked_for_again(tmp_path: Path) -> None:
    model = Model()
    async with model.server, started(tmp_path, model.url, CONFIGURABLE, {"mode": "plan"}) as daemon:
        for bad, key in BAD:
            configured(daemon, [bad])
            with pytest.raises(ResponseError) as error:
                await daemon.run("hello")
            assert key in error.value.message
            assert "workspace/configuration" in error.value.message
        configured(daemon, [{"mode": "accept-edits"}])
        assert await modes(daemon, model) == "accept-edits"
        assert daemon.requests[0]["params"] == {"items": [{"section": "agentic"}]}
        configured(daemon, [None])
        assert await modes(daemon, model) == "accept-edits"
        daemon.notify("workspace/didChangeConfiguration", {"settings": None})
        assert await modes(daemon, model) == "plan"


@pytest.mark.parametrize("answer", [None, [], {}])
async def test_a_client_that_answers_nonsense_for_its_configuration_is_served(tmp_path: Path, answer: Any) -> None:
    model = Model()
    async with model.server, started(tmp_path, model.url, CONFIGURABLE) as daemon:
        configured(daemon, answer)
        assert await modes(daemon, model) == "ask"


async def test_the_user_file_the_environment_and_the_flags_win_in_this_order(tmp_path: Path) -> None:
    model = Model()
    (tmp_path / "config/agentic").mkdir(parents=True)
    (tmp_path / "config/agentic/config.toml").write_text('mode = "accept-edits"\n')
    (tmp_path / "workspace").mkdir()
    variables = environment(tmp_path)
    cases: Sequence[tuple[dict[str, str], list[str], str]] = [
        (variables, [], "accept-edits"),
        ({**variables, "AGENTIC_MODE": "auto"}, [], "auto"),
        ({**variables, "AGENTIC_MODE": "auto"}, ["--mode", "plan"], "plan"),
    ]
    async with model.server:
        for env, flags, mode in cases:
            daemon = Daemon(tmp_path / "workspace")
            command = python("-m", "agentic_server", "serve", "--base-url", model.url, *flags)
            await daemon.start(*command, env=env, cwd=daemon.workspace)
            try:
                options = {"mode": "ask", "endpoints": [{"url": "http://127.0.0.1:9"}]}
                await daemon.initialize(PLUGIN, initializationOptions=options)
                assert await modes(daemon, model) == mode
            finally:
                await daemon.kill()


async def test_workspace_folders_that_change_are_taken_up_by_the_next_task(tmp_path: Path) -> None:
    model = Model()
    async with model.server, started(tmp_path, model.url) as daemon:
        model.play(Reply(reply("Hello.")))
        await (await daemon.run("hello")).finished()
        assert "second" not in model.server.requests[-1]["messages"][1]["content"]
        added = tmp_path / "second"
        added.mkdir()
        event = {"added": [{"uri": added.as_uri(), "name": "second"}], "removed": []}
        daemon.notify("workspace/didChangeWorkspaceFolders", {"event": event})
        model.play(Reply(reply("Hello.")))
        await (await daemon.run("hello again")).finished()
        assert "workspace folders: second" in model.server.requests[-1]["messages"][1]["content"]
