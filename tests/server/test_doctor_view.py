"""What the doctor prints, line by line."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from agentic_server.doctor_view import Progress, lines, show
from agentic_server.doctor_wire import Advice, Check, DoctorResult, EndpointReport, SpeedReport

GOOD = EndpointReport(
    url="http://localhost:8001/v1",
    reachable=True,
    model="openai/gpt-oss-120b",
    window=131072,
    window_source="served",
    server="vllm",
    version="0.32.0",
    tools="native",
    reasoning="reasoning",
    usage_in_stream=True,
    prefix_caching=True,
    hit_share=0.968,
    first_token_seconds=0.214,
    speeds=[SpeedReport(1, 112.4), SpeedReport(4, 390.1), SpeedReport(8, 1704.0)],
)
SLOTS = EndpointReport(
    url="http://localhost:8080/v1",
    reachable=True,
    model="qwen3-8b",
    window=8192,
    window_source="slot",
    server="llama.cpp",
    version="b11434",
    slots=2,
    advice=[Advice("The window of 8,192 tokens is small for an agent. " * 2, "Start llama-server with -c 131072.")],
)
DEAD = EndpointReport("http://localhost:8002/v1", False, problem="Nothing answers.", hint="Start the model server.")
CHECKS = [Check("search", "ok", "ripgrep"), Check("sessions", "failed", "cannot be written", "Set `stateDir`.")]


def test_all_of_it() -> None:
    printed = list(lines(DoctorResult([GOOD, SLOTS, DEAD], CHECKS), 80))
    assert (
        "\n".join(printed)
        == """\
✔ http://localhost:8001/v1
    server        vLLM 0.32.0
    model         openai/gpt-oss-120b
    window        131,072 tokens (told by the server)
    tools         native
    reasoning     in the field `reasoning`
    prefix cache  on, 97% of a prompt sent again was found
    first token   after 0.21 s, for a new prompt of some 600 tokens
    speed         112 tokens/s alone, 390 with 4 at once, 1,704 with 8 at once
    usage         told in the stream

! http://localhost:8080/v1
    server        llama.cpp b11434
    model         qwen3-8b
    window        8,192 tokens (told by the server, in each of 2 slots)
  ! The window of 8,192 tokens is small for an agent. The window of 8,192 tokens
    is small for an agent.
      Start llama-server with -c 131072.

✘ http://localhost:8002/v1
  ✘ Nothing answers.
      Start the model server.

✔ search: ripgrep
✘ sessions: cannot be written
    Set `stateDir`."""
    )


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_lines_fit_where_words_do(width: int) -> None:
    for line in lines(DoctorResult([GOOD, SLOTS, DEAD], []), width):
        assert len(line) <= max(width, 40)


def test_what_was_not_found_out_is_left_out() -> None:
    report = EndpointReport("http://h/v1", True, model="tiny", window=5, window_source="guess", usage_in_stream=False)
    assert list(lines(DoctorResult([report], []), 80)) == [
        "✔ http://h/v1",
        "    server        of an unknown kind",
        "    model         tiny",
        "    window        5 tokens (assumed)",
        "    prefix cache  unknown",
        "    usage         not told in the stream",
        "",
    ]


def test_a_server_cannot_steer_the_terminal() -> None:
    out = io.StringIO()
    model = "\x1b[2Jtiny[red]\u202e"
    show(DoctorResult([EndpointReport("http://h/v1", True, model=model, window=5)], []), Console(file=out, width=80))
    assert "\\x1b[2Jtiny[red]\\u202e" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_progress_is_shown_on_a_terminal_only() -> None:
    for terminal in (True, False):
        out = io.StringIO()
        with Progress(Console(file=out, force_terminal=terminal, width=80)) as progress:
            progress.tell("http://h/v1", "sends a prompt twice")
            progress.tell("http://h/v1", "")
        assert ("sends a prompt twice" in out.getvalue()) is terminal
        assert terminal or out.getvalue() == ""
