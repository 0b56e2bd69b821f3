"""The doctor's findings in a terminal: a block of lines for each endpoint, one line for each check."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from agentic.safety.approvals import visible
from agentic_server.doctor_wire import Check, DoctorResult, EndpointReport

if TYPE_CHECKING:
    from rich.console import Console

WIDEST = 100
_MARKS = {"ok": "✔", "warning": "!", "failed": "✘"}
_STYLES = {"✔": "green", "!": "yellow", "✘": "red"}
_LABELLED = 18
"""Columns before a value."""


def show(found: DoctorResult, console: Console) -> None:
    """Print all of it, no line wider than the console but those that cannot be broken."""
    width = min(console.width, WIDEST)
    for line in lines(found, width):
        mark = line.strip()[:1]
        style = _STYLES.get(mark, "") if line.strip()[1:2] == " " else ""
        console.print(visible(line), style=style, markup=False, highlight=False, soft_wrap=True)


class Progress:
    """Tells, on a terminal and only there, what is being done at each endpoint while it is done."""

    def __init__(self, console: Console) -> None:
        self._status = console.status("Asking who is there …") if console.is_terminal else None
        self._steps: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, url: str, step: str) -> None:
        """A step begins at this address; an empty one: that was all."""
        from rich.text import Text

        self._steps[url] = step
        if not step:
            del self._steps[url]
        if self._status is not None:
            self._status.update(Text("\n  ".join(f"{where} {what} …" for where, what in self._steps.items())))


def lines(found: DoctorResult, width: int) -> Iterator[str]:
    """The lines, wrapped at `width` columns."""
    for one in found.endpoints:
        yield f"{_mark(one)} {one.url}"
        yield from _endpoint(one, width)
        yield ""
    for check in found.checks:
        yield from _check(check)


def _mark(one: EndpointReport) -> str:
    if one.problem:
        return _MARKS["failed"]
    return _MARKS["warning" if one.advice else "ok"]


def _endpoint(one: EndpointReport, width: int) -> Iterator[str]:
    for label, value in _values(one):
        yield from _wrapped(value, width, f"    {label:<{_LABELLED - 4}}", " " * _LABELLED)
    if one.problem:
        yield from _finding("✘", one.problem, one.hint, width)
    for advice in one.advice:
        yield from _finding("!", advice.problem, advice.hint, width)


def _values(one: EndpointReport) -> Iterator[tuple[str, str]]:
    if not one.reachable:
        return
    name = _SERVERS.get(one.server, "of an unknown kind")
    yield "server", f"{name} {one.version}".strip()
    yield "model", one.model
    slots = f", in each of {one.slots} slots" if one.slots and one.window_source == "slot" else ""
    yield "window", f"{one.window or 0:,} tokens ({_SOURCES[one.window_source or 'guess']}{slots})"
    if one.tools != "unknown":
        yield "tools", _TOOLS[one.tools]
    if one.reasoning != "unknown":
        yield "reasoning", _REASONING[one.reasoning]
    if one.usage_in_stream is not None:
        yield "prefix cache", _cache(one)
    if one.first_token_seconds is not None:
        yield "first token", f"after {_seconds(one.first_token_seconds)}, for a new prompt of some 600 tokens"
    if one.speeds:
        yield "speed", _speed(one)
    if one.usage_in_stream is not None:
        yield "usage", "told in the stream" if one.usage_in_stream else "not told in the stream"


def _cache(one: EndpointReport) -> str:
    state = {True: "on", False: "off", None: "unknown"}[one.prefix_caching]
    return state if one.hit_share is None else f"{state}, {one.hit_share:.0%} of a prompt sent again was found"


def _speed(one: EndpointReport) -> str:
    first, *others = one.speeds
    parts = [f"{_rate(first.tokens_per_second)} tokens/s alone"]
    parts += [f"{_rate(other.tokens_per_second)} with {other.requests} at once" for other in others]
    return ", ".join(parts)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def _finding(mark: str, problem: str, hint: str, width: int) -> Iterator[str]:
    yield from _wrapped(problem, width, f"  {mark} ", "    ")
    yield from _wrapped(hint, width, "      ", "      ")


def _check(check: Check) -> Iterator[str]:
    yield f"{_MARKS[check.status]} {check.name}: {check.detail}"
    if check.hint:
        yield f"    {check.hint}"


def _wrapped(text: str, width: int, first: str, then: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )


_SERVERS = {
    "vllm": "vLLM",
    "llama.cpp": "llama.cpp",
    "ollama": "Ollama",
    "sglang": "SGLang",
    "lmstudio": "LM Studio",
    "tgi": "Text Generation Inference",
}
_SOURCES = {
    "set": "from the settings",
    "served": "told by the server",
    "slot": "told by the server",
    "runtime": "of the model as it is loaded",
    "modelfile": "from the Modelfile",
    "default": "assumed",
    "guess": "assumed",
}
_TOOLS = {
    "native": "native",
    "recovered": "recovered: the call came as text",
    "prompted": "prompted: told in the prompt, called in text",
    "refused": "refused",
    "unused": "not used when asked to",
}
_REASONING = {
    "reasoning": "in the field `reasoning`",
    "reasoning_content": "in the field `reasoning_content`",
    "text": "in the answer's text",
    "none": "none seen",
}
