"""The whole way: a real editor, our daemon, and real vLLM, of which one dies in the middle of an answer."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real.program import CALC, make_workspace
from real.scenarios import LOOP
from real.servers import CHAT, HERMES, Server, vllm
from support.neovim import Neovim

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

PREFERRED = 1e9
"""A weight with which every new conversation goes there."""


@pytest.fixture(scope="module")
def doomed(logs: Path) -> Generator[Server]:
    """A server that a test kills."""
    with vllm(CHAT, *HERMES, log=logs / "doomed.log") as server:
        yield server


@contextmanager
def editor(folder: Path, *servers: Server, answers: tuple[str, ...] = ()) -> Generator[Neovim]:
    """Neovim in the workspace with calc.py open; its first server is preferred."""
    endpoints = [{"url": server.url} for server in servers]
    endpoints[0] |= {"weight": PREFERRED}
    settings = {"endpoints": endpoints, "mode": "accept-edits", "temperature": 0, "maxAnswerTokens": 4000}
    nvim = Neovim(make_workspace(folder), folder / "state", settings, answers)
    try:
        nvim.open("calc.py")
        yield nvim
    finally:
        nvim.quit()


def test_a_file_with_unsaved_text_is_repaired(hermes: Server, tmp_path: Path) -> None:
    with editor(tmp_path, hermes, answers=("Allow",)) as nvim:
        nvim.type("O# typed, not saved<Esc>")
        nvim.start("Please play scenario fix")
        assert nvim.finished() == "Fixed: add() in calc.py now returns a + b, and the test passes."
        assert nvim.text == "# typed, not saved\n" + CALC.replace("a - b", "a + b")
        assert (tmp_path / "workspace/calc.py").read_text("utf-8") == CALC
        [question] = nvim.asked
        assert "Not saved: calc.py." in question


def test_an_answer_goes_on_at_the_other_server_when_its_own_is_killed(
    doomed: Server, hermes: Server, tmp_path: Path
) -> None:
    with editor(tmp_path, doomed, hermes) as nvim:
        nvim.start("Please play scenario loop")
        doomed.freeze(0.1)
        doomed.kill()
        assert nvim.finished()
        told = [value.get("message", "") for value in nvim.progress]
        handed_over = next(place for place, message in enumerate(told) if hermes.url in message)
        assert any(LOOP in message for message in told[handed_over:]), told
