"""Settings: the order of the sources, and what a bad value is answered with."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentic import task
from agentic.errors import SettingsError
from agentic.store.paths import database_path
from agentic_server import settings
from agentic_server.settings import Endpoint, Settings, Source, from_editor, from_environment, load, load_all


def given(value: object, name: str = "initializationOptions") -> Settings:
    return load([from_editor(name, value)])


def test_defaults() -> None:
    found = load([])
    assert [e.url for e in found.endpoints] == ["http://localhost:8001/v1", "http://localhost:8002/v1"]
    assert (found.mode, found.closed_files) == ("ask", "auto")
    assert found.task_limits() == task.Limits()


def test_each_source_wins_over_the_earlier_ones(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    environment = {"AGENTIC_CONFIG": str(config)}
    keys = ["iterations", "recursion", "seconds", "commandSeconds"]
    editor = [
        from_editor("initializationOptions", {"agentic": {"limits": dict.fromkeys(keys, 1)}}),
        from_editor("workspace/configuration", {"limits": dict.fromkeys(keys[1:], 2)}),
    ]
    config.write_text("[limits]\nseconds = 3\ncommandSeconds = 3\n")
    environment["AGENTIC_LIMITS_COMMAND_SECONDS"] = "4"
    found = load_all(editor, {}, environment).limits
    assert (found.iterations, found.recursion, found.seconds, found.command_seconds) == (1, 2, 3, 4)
    flagged = load_all(editor, {"limits.commandSeconds": "5", "mode": None}, environment)
    assert flagged.limits.command_seconds == 5
    assert flagged.mode == "ask"


def test_endpoints_are_replaced_whole() -> None:
    earlier = from_editor("a", {"endpoints": [{"url": "http://a"}, {"url": "http://b", "key": "k"}]})
    later = from_editor("b", {"endpoints": [{"url": "http://c"}]})
    assert load([earlier, later]).endpoints == (Endpoint("http://c"),)


def test_a_later_model_or_key_replaces_those_of_single_endpoints() -> None:
    earlier = from_editor("a", {"endpoints": [{"url": "http://a", "model": "m", "key": "k"}, {"url": "http://b"}]})
    assert [e.model for e in load([earlier]).endpoints] == ["m", ""]
    found = load([earlier, from_environment({"AGENTIC_MODEL": "n"})]).endpoints
    assert [(e.model, e.key) for e in found] == [("n", "k"), ("n", "")]
    own = from_editor("b", {"model": "n", "endpoints": [{"url": "http://a", "model": "m"}, {"url": "http://b"}]})
    assert [e.model for e in load([own]).endpoints] == ["m", "n"]


def test_the_environment() -> None:
    variables = {
        "AGENTIC_ENDPOINTS": "http://a/v1, http://b/v1",
        "AGENTIC_API_KEY": "sk",
        "AGENTIC_MODE": "auto",
        "AGENTIC_TEMPERATURE": "0.5",
        "AGENTIC_DEADLINES_FIRST_TOKEN": "7",
        "AGENTIC_MODEL": "",
    }
    found = load([from_environment(variables)])
    assert [(e.url, e.key) for e in found.endpoints] == [("http://a/v1", "sk"), ("http://b/v1", "sk")]
    assert (found.mode, found.temperature, found.deadlines.first_token, found.model) == ("auto", 0.5, 7.0, "")
    assert load([from_environment({"AGENTIC_BASE_URL": "http://c"})]).endpoints == (Endpoint("http://c"),)


@pytest.mark.parametrize("row", settings.describe(), ids=lambda row: row.key)
def test_every_described_variable_is_read(row: settings.Description) -> None:
    if not row.environment:
        assert "[]" in row.key
        return
    source = from_environment({row.environment: "17"})
    found = settings.value_at(source.values, row.key)
    assert found == ("17" if row.key != "endpoints" else [{"url": "17"}])


def test_null_and_the_clients_own_keys_are_passed_over() -> None:
    assert given(None) == given({"mode": None, "limits": {"seconds": None}, "trace": {"server": "off"}, "client": 1})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"endpoints": [{"url": "localhost"}]}, ["endpoints[0].url", '"localhost"', "http://"]),
        ({"endpoints": [{"url": "http://a"}, {}]}, ["endpoints[1].url", "missing"]),
        ({"endpoints": []}, ["endpoints", "at least one"]),
        ({"mode": "yolo"}, ["mode", '"yolo"', "`plan`", "`auto`"]),
        ({"limits": {"iterations": 0}}, ["limits.iterations", "= 0", "≥ 1"]),
        ({"limits": {"iteration": 5}}, ["limits.iteration", "not known", "iterations"]),
        ({"limits": {"seconds": "ten"}}, ["limits.seconds", '"ten"', "number"]),
        ({"limits": 5}, ["limits", "5", "object"]),
        ({"temperature": 3}, ["temperature", "3", "2"]),
        ([1], ["no JSON object"]),
    ],
)
def test_a_bad_value_is_named_with_its_source(value: object, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        given(value, "the sky")
    said = f"{caught.value} {caught.value.hint}"
    for word in [*words, "the sky"]:
        assert word in said


@pytest.mark.parametrize(
    "value",
    [
        {"key": 31337},
        {"endpoints": [{"url": "http://a", "key": 31337}]},
        {"endpoints": [{"url": "http://a", "apiKey": "31337"}]},
        {"endpoints": [{"key": "31337"}]},
        {"endpoints": {"key": "31337"}},
        {"apikey": "31337"},
        {"key": "31337\n"},
        {"endpoints": [{"url": "http://a", "key": "ключ 31337"}]},
    ],
)
def test_no_error_shows_a_key(value: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        given(value)
    assert "31337" not in f"{caught.value} {caught.value.hint}"


def test_printing_settings_shows_no_key() -> None:
    found = given({"key": "31337", "endpoints": [{"url": "http://a"}, {"url": "http://b", "key": "31337"}]})
    assert [e.key for e in found.endpoints] == ["31337", "31337"]
    assert "31337" not in repr(found)
    assert "http://b" in repr(found)


def test_the_user_file(tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert load_all(environment=home) == load([])
    (tmp_path / "agentic").mkdir()
    config = tmp_path / "agentic" / "config.toml"
    config.write_text('mode = "plan"\n[[endpoints]]\nurl = "http://a"\n')
    assert load_all(environment=home).mode == "plan"
    config.write_text('mode = "paln"\n')
    with pytest.raises(SettingsError, match=r"mode = \"paln\" from the file .*config.toml"):
        load_all(environment=home)
    config.write_text("mode = \n")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_all(environment=home)
    with pytest.raises(SettingsError, match="is missing"):
        load_all(environment={"AGENTIC_CONFIG": str(tmp_path / "none.toml")})


def test_texts_become_numbers_only_where_all_is_text() -> None:
    assert load([Source("flags", {"limits": {"iterations": "5"}}, texts=True)]).limits.iterations == 5
    with pytest.raises(SettingsError):
        load([Source("file", {"limits": {"iterations": "5"}})])


def test_the_database(tmp_path: Path) -> None:
    assert given({"stateDir": str(tmp_path)}).database() == tmp_path / "sessions.db"
    assert given({"stateDir": "~/x"}).database() == Path.home() / "x" / "sessions.db"
    assert load([]).database() == database_path()


def test_every_setting_is_described() -> None:
    rows = settings.describe()
    assert all(row.text and row.type for row in rows)
    defaults = {row.key: json.loads(row.default) for row in rows if row.default}
    assert defaults["deadlines.firstToken"] == 300
    assert {"endpoints", "endpoints[].url", "mode", "limits.commandSeconds", "stateDir"} <= {row.key for row in rows}


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError) as error:
        load_all(flags={"endpoints": [{"url": "http://me:s3cret@host/v1"}]}, environment={})
    assert "s3cret" not in str(error.value)
    assert "endpoints[0].url" in str(error.value)
