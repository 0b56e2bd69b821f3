"""Where the log lies: a folder of this user's state, the same for every workspace."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def state_dir(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The folder for what must outlive the daemon; it need not exist yet.

    `$AGENTIC_STATE_DIR` if set, else the platform's usual: `$XDG_STATE_HOME/agentic` or `~/.local/state/agentic`,
    `~/Library/Application Support/agentic` on macOS, `%LOCALAPPDATA%\\agentic` on Windows.
    """
    if chosen := environment.get("AGENTIC_STATE_DIR"):
        return Path(chosen).expanduser()
    return _usual_folder(environment, platform) / "agentic"


def database_path(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The file of the log."""
    return state_dir(environment, platform) / "sessions.db"


def _usual_folder(environment: Mapping[str, str], platform: str) -> Path:
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    state = environment.get("XDG_STATE_HOME", "")
    # The XDG specification says that a relative path here is to be ignored.
    return Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
