"""What the shell gate calls reading is run by a real shell, and must leave no trace."""

from __future__ import annotations

import itertools
import os
import string
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentic.disk.environment import child_environment
from agentic.safety.approvals import visible
from agentic.safety.shell_gate import is_read_only

_NAMES = ["cat", "cut", "diff", "du", "echo", "file", "find", "git", "grep", "head", "ls", "pwd", "rg", "sed", "sort"]
_NAMES += ["stat", "tail", "tee", "tree", "uniq", "wc", "env", "python"]
_SWITCHES = [f"-{letter}" for letter in string.ascii_letters + string.digits]
_LONG = ["output=made", "output", "to-file=made", "pre=./cat", "files0-from=a", "compress-program=./cat", "color"]
_LONG += ["follow", "files"]
_OPERANDS = ["a", "b", "d", "made", "-", "--", "d/c", "+1", "-omade", "-o", "%1", "@a", "=a", "a=b", ",", ":", "./a"]
_TOKENS = st.sampled_from([*_OPERANDS, *_SWITCHES, *(f"--{name}" for name in _LONG)])
COMMANDS = st.builds(
    lambda name, rest: " ".join([name, *rest]), st.sampled_from(_NAMES), st.lists(_TOKENS, max_size=4)
).filter(is_read_only)
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
READABLE = st.text(st.characters(codec="utf-8"), max_size=60)


def _trace(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def _made(folder: Path) -> Path:
    (folder / "d").mkdir(exist_ok=True)
    for name in ("a", "b", "d/c"):
        (folder / name).write_text(f"{name}\n")
    program = folder / "cat"
    program.write_text("#!/bin/sh\n: > made\n")
    program.chmod(0o755)
    return folder


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(command=COMMANDS)
def test_what_the_gate_lets_through_changes_nothing(tmp_path_factory: pytest.TempPathFactory, command: str) -> None:
    workspace = _made(tmp_path_factory.mktemp("gate"))
    before = _trace(workspace)
    _run(command, workspace)
    assert _trace(workspace) == before


@pytest.mark.parametrize("name", _NAMES)
def test_no_pair_of_operands_changes_anything(tmp_path: Path, name: str) -> None:
    commands = [" ".join([name, *pair]) for pair in itertools.product(_OPERANDS, repeat=2)]
    before = _trace(_made(tmp_path))
    _run("\n".join(filter(is_read_only, commands)), tmp_path)
    assert _trace(tmp_path) == before


def test_a_reading_command_gets_no_path_of_the_workspace_and_no_shims(tmp_path: Path) -> None:
    parent = {"PATH": f"{tmp_path}/bin:.::/home/me/.pyenv/shims:/usr/bin", "LD_LIBRARY_PATH": f":.:{tmp_path}:/opt/lib"}
    child = child_environment(parent, [tmp_path])
    assert (child["PATH"], child["LD_LIBRARY_PATH"]) == ("/usr/bin", "/opt/lib")
    assert child_environment({"PATH": str(tmp_path)}, [tmp_path])["PATH"] == os.defpath
    assert "LD_LIBRARY_PATH" not in child_environment({"LD_LIBRARY_PATH": ":"}, [tmp_path])


@given(READABLE)
def test_what_is_shown_for_approval_hides_nothing(text: str) -> None:
    shown = visible(text)
    rest = iter(shown)
    assert all(character in rest for character in text if character.isascii() and character.isprintable())
    assert visible(shown) == shown
    assert not {unicodedata.category(character) for character in shown.replace("\n", "").replace("\t", "")} & UNSEEN


def _run(command: str, workspace: Path) -> None:
    subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=workspace,
        env=child_environment({**os.environ, "PATH": f"{workspace}:.::{os.environ['PATH']}"}, [workspace]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
