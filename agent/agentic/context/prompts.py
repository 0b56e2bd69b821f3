"""The prompts: text files beside this package, read once and rendered by filling in `{{name}}`."""

from __future__ import annotations

import functools
import re
from importlib.resources import files


@functools.cache
def load(name: str) -> str:
    """The text of `prompts/<name>.md`, without the file's last line end."""
    return files("agentic.prompts").joinpath(f"{name}.md").read_text("utf-8").removesuffix("\n")


def render(name: str, **values: object) -> str:
    """The prompt with each `{{key}}` replaced; what is filled in is not searched again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: str(values[match.group(1)]), load(name))
