"""The command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from agentic.errors import AgenticError, SettingsError
from agentic_server.version import VERSION

EXIT_CODES = """exit codes of `agentic run`:
  0    the task is done
  1    the turn ended in an error
  2    the command line or a setting is wrong; nothing was changed
  3    no model server could be reached; nothing was changed
  4    a limit (iterations, time, tokens, a loop) ended the turn
  130  cancelled with Ctrl-C, or because its output is not read any more"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    options = parser().parse_args(arguments)
    try:
        sys.exit(options.command(options))
    except SettingsError as error:
        sys.exit(_say(error, 2))
    except AgenticError as error:
        sys.exit(_say(error, 1))


def parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    top = argparse.ArgumentParser(prog="agentic", description="A coding agent for any LSP editor.")
    top.add_argument("--version", action="version", version=f"agentic {VERSION}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser

    serve = add("serve", help="speak LSP over stdio; editors start this")
    serve.add_argument("--tcp", metavar="HOST:PORT", help="listen on a loopback address instead, for debugging")
    serve.add_argument("--stdio", action="store_true", help="the default; some clients pass it")
    _settings_flags(serve, _serve)

    run = add("run", help="do one task here, in the terminal", epilog=EXIT_CODES, formatter_class=_Raw)
    run.add_argument("task", nargs="+", help="what to do, in your own words")
    run.add_argument("--session", metavar="ID", help="go on with a session")
    _running_flags(run, _run)

    resume = add(
        "resume", help="go on with a task that was interrupted or failed", epilog=EXIT_CODES, formatter_class=_Raw
    )
    resume.add_argument("session", metavar="ID", help="its session; `agentic sessions` lists them")
    _running_flags(resume, _resume)

    demo = add("demo", help="watch it repair a small project; needs no model")
    demo.add_argument("--record", metavar="URL", help="do it with this model server instead, and record its answers")
    demo.add_argument("--out", type=Path, default=Path("demo.jsonl"), help="the cassette to append to (with --record)")
    demo.set_defaults(command=_demo)

    _add_recording(add)
    doctor = add("doctor", help="examine the model servers and this machine")
    doctor.add_argument("--quick", action="store_true", help="only ask who is there; no completions, no measuring")
    _settings_flags(doctor, _doctor)
    _settings_flags(add("sessions", help="list the sessions"), _sessions)
    return top


def _running_flags(command: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    command.add_argument("--json", action="store_true", help="print one event a line as JSON")
    command.add_argument("--yes", action="store_true", help="allow everything that would be asked")
    command.add_argument("--dir", default=".", help="the workspace (default: the current folder)")
    command.add_argument("--thinking", action="store_true", help="show reasoning, and what else is folded, in full")
    _settings_flags(command, run)


def _add_recording(add: Callable[..., argparse.ArgumentParser]) -> None:
    record = add("record", help="record a model server's answers, to be replayed")
    record.add_argument("--upstream", required=True, metavar="URL", help="the server to record")
    record.add_argument("--key", default="", help="its API key")
    record.add_argument("--out", required=True, type=Path, metavar="FILE", help="the cassette to append to")
    record.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1 (default: a free port)")
    record.set_defaults(command=_record)

    replay = add("replay", help="answer from a recording instead of a model")
    replay.add_argument("cassette", type=Path, help="what `agentic record` wrote")
    replay.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1 (default: a free port)")
    replay.set_defaults(command=_replay)


_Raw = argparse.RawDescriptionHelpFormatter
FLAGS = {
    "base_url": "endpoints",
    "model": "model",
    "key": "key",
    "mode": "mode",
    "iterations": "limits.iterations",
    "seconds": "limits.seconds",
    "state_dir": "stateDir",
}
"""Each flag and the setting that it sets."""


def _settings_flags(command: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    group = command.add_argument_group("settings", "each wins over the settings files (docs/configuration.md)")
    group.add_argument("--base-url", action="append", metavar="URL", help="a model server; may be given several times")
    group.add_argument("--model", help="the model to ask for")
    group.add_argument("--key", help="the API key")
    group.add_argument("--mode", help="plan, ask, accept-edits or auto")
    group.add_argument("--iterations", help="how many rounds a turn may take")
    group.add_argument("--seconds", help="how long a turn may take")
    group.add_argument("--state-dir", help="where sessions are kept")
    command.set_defaults(command=run)


def settings_flags(options: argparse.Namespace) -> dict[str, object]:
    """The settings that were given on the command line, by their dotted keys."""
    given: dict[str, object] = {key: getattr(options, flag) for flag, key in FLAGS.items()}
    if options.base_url:
        given["endpoints"] = [{"url": url} for url in options.base_url]
    return {key: value for key, value in given.items() if value is not None}


def _serve(options: argparse.Namespace) -> int:
    from agentic_server.imports import for_good

    with for_good():
        from agentic_server.app import build

        server = build(settings_flags(options))
    if not options.tcp:
        server.serve_stdio()
    hint = "Give a loopback address such as 127.0.0.1:2087."
    host, _, port = str(options.tcp).rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise SettingsError(f"--tcp {options.tcp} names no port.", hint)
    try:
        server.serve_tcp(host or "127.0.0.1", int(port))
    except (ValueError, OSError) as error:
        raise SettingsError(f"--tcp {options.tcp}: {error}.", hint) from None


def _run(options: argparse.Namespace) -> int:
    from agentic_server.headless import run_task

    return run_task(options, settings_flags(options))


def _demo(options: argparse.Namespace) -> int:
    import asyncio

    from agentic_server.demo.run import record_demo, run_demo

    return asyncio.run(record_demo(options.record, options.out) if options.record else run_demo())


def _record(options: argparse.Namespace) -> int:
    from agentic_server.record import record

    return record(options.upstream, options.key, options.out, options.port)


def _replay(options: argparse.Namespace) -> int:
    from agentic_server.replay import replay

    return replay(options.cassette, options.port)


def _resume(options: argparse.Namespace) -> int:
    from agentic_server.headless import resume_task

    return resume_task(options, settings_flags(options))


def _doctor(options: argparse.Namespace) -> int:
    from agentic_server.headless import doctor

    return doctor(settings_flags(options), quick=options.quick)


def _sessions(options: argparse.Namespace) -> int:
    from agentic_server.headless import sessions

    return sessions(settings_flags(options))


def _say(error: AgenticError, code: int) -> int:
    sys.stderr.write(f"agentic: {error} {error.hint}\n")
    return code
