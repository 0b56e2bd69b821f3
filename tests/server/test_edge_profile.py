"""What is believed of a client: its words, corrected by what is known of it."""

from __future__ import annotations

from typing import Any

import pytest
from lsprotocol import converters, types

from agentic_server.client_profile import ClientProfile, profile_of

CONVERTER = converters.get_converter()
EVERYTHING: dict[str, Any] = {
    "workspace": {
        "applyEdit": True,
        "workspaceEdit": {"documentChanges": True, "resourceOperations": ["create", "rename", "delete"]},
    },
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
}


def profile(name: str | None = None, capabilities: dict[str, Any] | None = None) -> ClientProfile:
    raw: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": capabilities or {}}
    if name is not None:
        raw["clientInfo"] = {"name": name, "version": "1.2"}
    return profile_of(CONVERTER.structure(raw, types.InitializeParams))


def test_a_client_is_believed_but_for_show_document() -> None:
    found = profile("Some Editor", EVERYTHING)
    assert (found.name, found.version) == ("Some Editor", "1.2")
    assert found.apply_edit
    assert found.document_changes
    assert found.work_done_progress
    assert found.resource_operations == {"create", "rename", "delete"}
    assert not found.show_document
    assert not found.apply_edit_only_after_action


def test_clients_known_to_answer_show_document_are_trusted_with_it_where_they_announce_it() -> None:
    assert profile("Visual Studio Code - Insiders", EVERYTHING).show_document
    assert not profile("Neovim", {}).show_document


def test_eglot_is_not_trusted_with_files() -> None:
    assert profile("Eglot", EVERYTHING).resource_operations == frozenset()


def test_kate_is_known_by_what_it_leaves_out() -> None:
    found = profile(None, {"window": {"workDoneProgress": True}})
    assert found.apply_edit_only_after_action
    assert not found.apply_edit
    assert found.work_done_progress


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, "utf-16"),
        ([], "utf-16"),
        (["utf-7"], "utf-16"),
        (["utf-7", "utf-8", "utf-16"], "utf-8"),
        (["utf-32", "utf-8"], "utf-32"),
    ],
)
def test_the_first_encoding_that_both_know_is_chosen(offered: list[str] | None, chosen: str) -> None:
    general = {} if offered is None else {"general": {"positionEncodings": offered}}
    assert profile("Some Editor", general).encoding == chosen


def test_an_old_lsp_mode_counts_code_points_and_a_new_one_says_so() -> None:
    old, new = profile("emacs", EVERYTHING), profile("emacs", {"general": {"positionEncodings": ["utf-32"]}})
    assert (old.encoding, old.counts_code_points) == ("utf-32", True)
    assert (new.encoding, new.counts_code_points) == ("utf-32", False)


@pytest.mark.parametrize(
    ("value", "events", "asks", "saves"),
    [
        (True, True, True, False),
        (False, False, False, False),
        ({"events": True}, True, False, False),
        ({"ask": True, "savesClosedFiles": True}, False, True, True),
        ({"events": "yes"}, False, False, False),
        ("yes", False, False, False),
    ],
)
def test_our_own_plugins_opt_in(value: Any, events: bool, asks: bool, saves: bool) -> None:
    found = profile("Neovim", {"experimental": {"agentic": value}})
    assert (found.events, found.asks, found.saves_closed_files) == (events, asks, saves)


@pytest.mark.parametrize("experimental", [None, 7, [], {}])
def test_experimental_may_be_anything(experimental: Any) -> None:
    assert not profile("Neovim", {"experimental": experimental}).events
