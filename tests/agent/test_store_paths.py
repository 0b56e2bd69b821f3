"""Where the log lies on each platform."""

from pathlib import Path

import pytest

from agentic.store.paths import database_path, state_dir

HOME = Path.home()


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"AGENTIC_STATE_DIR": "/data/agentic", "XDG_STATE_HOME": "/state"}, "linux", Path("/data/agentic")),
        ({"AGENTIC_STATE_DIR": "~/log"}, "darwin", HOME / "log"),
        ({"AGENTIC_STATE_DIR": "", "XDG_STATE_HOME": "/state"}, "linux", Path("/state/agentic")),
        ({"XDG_STATE_HOME": "relative/is/ignored"}, "linux", HOME / ".local/state/agentic"),
        ({}, "linux", HOME / ".local/state/agentic"),
        ({"XDG_STATE_HOME": "/state"}, "darwin", HOME / "Library/Application Support/agentic"),
        ({"LOCALAPPDATA": "/local"}, "win32", Path("/local/agentic")),
        ({}, "win32", HOME / "AppData/Local/agentic"),
    ],
)
def test_the_state_lies_where_the_platform_keeps_it(environment: dict[str, str], platform: str, expected: Path) -> None:
    assert state_dir(environment, platform) == expected
    assert database_path(environment, platform) == expected / "sessions.db"
