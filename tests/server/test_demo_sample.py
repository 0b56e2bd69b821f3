"""The demo's sample project fails as it is shipped, in exactly one test, and one small edit mends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import agentic_server.demo.run as demo

WRONG, RIGHT = "min(self.floor + floors, TOP_FLOOR - 1)", "min(self.floor + floors, TOP_FLOOR)"


def run_tests(project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unittest"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_exactly_one_test_fails_as_shipped(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(demo.SAMPLE, project)
    result = run_tests(project)
    assert result.returncode == 1
    assert "Ran 6 tests" in result.stderr
    assert "FAILED (failures=1)" in result.stderr
    assert "FAIL: test_the_keeper_lights_the_lamp" in result.stderr


def test_the_intended_edit_mends_it_with_the_users_line_in_place(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(demo.SAMPLE, project)
    module = project / demo.OPENED
    text = module.read_text(encoding="utf-8")
    assert text.count(WRONG) == 1
    at = text.index('"""', 3)
    module.write_text((text[:at] + demo.TYPED + text[at:]).replace(WRONG, RIGHT), encoding="utf-8")
    result = run_tests(project)
    assert result.returncode == 0, result.stderr
    assert "OK" in result.stderr
