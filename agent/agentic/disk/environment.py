"""What a command gets to see of the daemon's environment: little, and no secrets."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

_KEPT = re.compile(
    r"""PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TMP|TEMP|XDG_(CACHE|CONFIG|DATA|STATE)_HOME
    |VIRTUAL_ENV|CONDA_PREFIX|CONDA_DEFAULT_ENV|PYENV_ROOT|PYTHONPATH|UV_CACHE_DIR
    |JAVA_HOME|ANDROID_HOME|GRADLE_USER_HOME|GOPATH|GOROOT|GOCACHE|GOMODCACHE|CARGO_HOME|RUSTUP_HOME
    |NVM_DIR|NODE_PATH|PNPM_HOME|DOTNET_ROOT|GEM_HOME|CC|CXX|CFLAGS|CXXFLAGS|LDFLAGS|PKG_CONFIG_PATH|LD_LIBRARY_PATH
    |SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|NODE_EXTRA_CA_CERTS
    |SYSTEMROOT|COMSPEC|PATHEXT|USERPROFILE|APPDATA|LOCALAPPDATA""",
    re.VERBOSE,
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|^AGENTIC_", re.IGNORECASE)
_SET = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "PAGER": "cat", "TERM": "dumb", "NO_COLOR": "1"}


def child_environment(parent: Mapping[str, str], avoid: Iterable[Path] = ()) -> dict[str, str]:
    """The environment of a child process: an allow-list of `parent` without secrets.

    `PATH` loses its relative entries and those below the folders in `avoid`, which others can write to. With `avoid`,
    so does the path of libraries, and `PATH` loses the version managers' shims, which run what the workspace says.
    """
    folders = list(avoid)
    kept = {name: value for name, value in parent.items() if _KEPT.fullmatch(name) and not _SECRET.search(name)}
    libraries = kept.pop("LD_LIBRARY_PATH", "")
    if libraries and (safe := _safe_path(libraries, folders) if folders else libraries):
        kept["LD_LIBRARY_PATH"] = safe
    return kept | {"PATH": _safe_path(kept.get("PATH", os.defpath), folders) or os.defpath} | _SET


def trusted_program(name: str, avoid: Iterable[Path]) -> str | None:
    """Where a program lies on the `PATH`, never in a folder that others can write to."""
    return shutil.which(name, path=_safe_path(os.environ.get("PATH", os.defpath), avoid))


def _safe_path(path: str, avoid: Iterable[Path]) -> str:
    folders = list(avoid)
    entries = [entry for entry in path.split(os.pathsep) if os.path.isabs(entry)]
    if folders:
        entries = [entry for entry in entries if Path(entry).name != "shims"]
    return os.pathsep.join(e for e in entries if not any(Path(os.path.realpath(e)).is_relative_to(f) for f in folders))
