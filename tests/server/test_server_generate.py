"""The generated files are what the code says, and `--check` notices when they are not."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agentic.events import EVENT_TYPES
from agentic_server import generate
from agentic_server.protocol import COMMANDS, METHODS
from agentic_server.settings import describe


def test_the_checkout_is_up_to_date() -> None:
    assert generate.stale() == []


def test_check_names_the_stale_files(tmp_path: Path) -> None:
    written = generate.write(tmp_path)
    assert sorted(written) == sorted(generate.files())
    assert generate.stale(tmp_path) == []
    (tmp_path / "docs/events.md").write_text("old")
    (tmp_path / "docs/schema/settings.json").unlink()
    assert sorted(generate.stale(tmp_path)) == ["docs/events.md", "docs/schema/settings.json"]


def test_the_command_line() -> None:
    command = [sys.executable, "-m", "agentic_server.generate"]
    check = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
    wrong = subprocess.run([*command, "--chekc"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "usage" in wrong.stderr


@pytest.mark.parametrize("schema", [generate.events_schema(), generate.settings_schema()], ids=["events", "settings"])
def test_schemas_are_schemas(schema: dict[str, object]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_settings_schema_takes_what_the_loader_takes() -> None:
    validator = jsonschema.Draft202012Validator(generate.settings_schema())
    assert validator.is_valid({"mode": "auto", "endpoints": [{"url": "http://a"}], "limits": {"iterations": 5}})
    wrong: list[dict[str, Any]] = [{"mode": "yolo"}, {"endpoints": [{}]}, {"limits": {"iterations": 0}}, {"unknown": 1}]
    for bad in wrong:
        assert not validator.is_valid(bad), bad


def test_every_command_and_method_has_its_schemas() -> None:
    schema = generate.commands_schema()
    assert schema["commands"].keys() == COMMANDS.keys()
    assert schema["methods"].keys() == METHODS.keys()
    defined = schema["$defs"].keys()
    for reference in re.findall(r"#/\$defs/(\w+)", str(schema)):
        assert reference in defined


def test_the_pages_name_everything() -> None:
    pages = generate.files()
    for event_type in EVENT_TYPES:
        assert f"## `{event_type.__struct_config__.tag}`" in pages["docs/events.md"]
    assert "turn       = turnStarted entry* turnFinished" in pages["docs/events.md"]
    for row in describe():
        assert f"| `{row.key}` |" in pages["docs/configuration.md"]
    for name in (*COMMANDS, *METHODS):
        assert f"## `{name}`" in pages["docs/protocol.md"]
        assert f'"{name}": ' in pages["editor-client/protocol/agentic.ts"]


def test_the_mirror_defines_every_type_it_names() -> None:
    mirror = generate.files()["editor-client/protocol/agentic.ts"]
    code = re.sub(r"/\*\*.*?\*/|//[^\n]*|\"[^\"]*\"", "", mirror)
    defined = set(re.findall(r"export (?:interface|type) (\w+)", code))
    named = set(re.findall(r"\b[A-Z]\w*\b", code))
    assert named - defined == {"Record"}
