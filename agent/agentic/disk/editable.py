"""Where Python finds the sources of a copy.

An editable installation leads to the workspace by an absolute path, so tests in a copy would try the original's code.
What comes first on `PYTHONPATH` is taken instead. Blocking.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from agentic.disk.copying import CopiedRoot

_ENVIRONMENTS = (".venv", "venv", "env")
_MAX_BYTES = 1_000_000
_MAPPING = re.compile(r"^MAPPING[^=\n]*=\s*(\{.*\})\s*$", re.MULTILINE)
"""What setuptools writes into the module that finds an editable package."""


def python_path(roots: Sequence[CopiedRoot], environment: Mapping[str, str]) -> str:
    """The value of `PYTHONPATH` for commands in the copies; empty where nothing has to be said."""
    active = [environment[name] for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if environment.get(name)]
    own = [root.source / name for root in roots for name in _ENVIRONMENTS]
    places = (place for prefix in dict.fromkeys([*map(Path, active), *own]) for place in _sources(prefix))
    copies = list(dict.fromkeys(copy for place in places for copy in _copy_of(place, roots)))
    if not copies:
        return ""
    return os.pathsep.join([*copies, *filter(None, [environment.get("PYTHONPATH")])])


def _sources(prefix: Path) -> Iterator[Path]:
    """The folders from which an environment takes editable packages."""
    for packages in prefix.glob("lib/python*/site-packages"):
        for file in sorted(packages.glob("*.pth")):
            lines = (line.strip() for line in _text(file).splitlines())
            yield from (packages / line for line in lines if line and not line.startswith(("#", "import ", "import\t")))
        for file in sorted(packages.glob("__editable__*_finder.py")):
            for mapping in _MAPPING.findall(_text(file)):
                yield from (Path(place).parent for place in _values(mapping))


def _copy_of(place: Path, roots: Iterable[CopiedRoot]) -> list[str]:
    real = Path(os.path.realpath(place))
    copies = [root.copy / real.relative_to(root.source) for root in roots if real.is_relative_to(root.source)]
    return [str(copy) for copy in copies[:1] if copy.is_dir()]


def _values(mapping: str) -> list[str]:
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        found = ast.literal_eval(mapping)
        return [place for place in found.values() if isinstance(place, str)]
    return []


def _text(file: Path) -> str:
    """Its text; empty for what is not there, or is no such file."""
    with suppress(OSError):
        if file.is_file() and file.stat().st_size <= _MAX_BYTES:
            return file.read_text("utf-8", errors="replace")
    return ""
