"""The defects of stock pygls, each against a real process: what is asked is answered, and every end is clean.

`test_defect_N_...` is the N-th defect of the list that this edge was built from; 15 and 16 are in test_edge_framing,
20 and 21 also in test_edge_documents.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.raw_client import RawClient, ResponseError, python

SERVER = python(str(Path(__file__).parent.parent / "support" / "edge_server.py"))

UNDECODABLE: list[tuple[str, Any]] = [
    ("workspace/executeCommand", {"arguments": []}),
    ("workspace/executeCommand", [1]),
    ("workspace/executeCommand", None),
    ("textDocument/hover", {"textDocument": 3}),
]
NO_MESSAGES = [
    (b"{nonsense", -32700),
    (b"\xff\xfe\x00", -32700),
    (b"", -32700),
    (b"[" * 100_000, -32700),
    (b"[]", -32600),
    (b'[{"jsonrpc":"2.0","id":1,"method":"shutdown"}]', -32600),
    (b"7", -32600),
    (b"null", -32600),
    (b'{"id":"x","method":"shutdown"}', -32600),
    (b'{"jsonrpc":"2.0","id":true,"method":"shutdown"}', -32600),
    (b'{"jsonrpc":"2.0","id":[1],"method":"shutdown"}', -32600),
    (b'{"jsonrpc":"2.0","id":"x","method":7}', -32600),
]


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    async with RawClient.started(*SERVER) as client:
        await client.initialize()
        yield client


def begin(client: RawClient, command: str, *arguments: Any) -> tuple[Any, asyncio.Future[dict[str, Any]]]:
    return client.ask("workspace/executeCommand", {"command": command, "arguments": list(arguments)})


async def answer(future: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
    return await asyncio.wait_for(future, 30)


# Requests.


@pytest.mark.parametrize("door", ["command", "feature"])
async def test_defect_1_cancel_request_reaches_what_runs(client: RawClient, door: str) -> None:
    message_id, future = (
        begin(client, "edge.sleep", "x") if door == "command" else client.ask("edge/sleep", {"name": "x"})
    )
    await client.wait_for_method("edge/started")
    client.notify("$/cancelRequest", {"id": message_id})
    assert (await answer(future))["error"]["code"] == -32800
    await client.wait_for_method("edge/cancelled")


async def test_defect_2_shutdown_while_commands_run_cancels_them_and_is_answered(client: RawClient) -> None:
    running = [begin(client, "edge.sleep", str(n))[1] for n in range(3)]
    await client.wait_for(lambda m: m.get("params") == {"name": "2"})
    assert await client.request("shutdown") is None
    assert [(await answer(future))["error"]["code"] for future in running] == [-32800] * 3
    client.notify("exit")
    assert await client.exit_code() == 0


async def test_defect_3_finished_requests_and_notifications_are_forgotten(client: RawClient) -> None:
    for number in range(30):
        await client.command("edge.echo", number)
        client.notify("edge/note", number)
    await client.wait_for(lambda m: m.get("params") == {"params": 29})
    assert await client.command("edge.futures") == 1


async def test_defect_4_progress_tokens_are_forgotten_and_can_be_used_again(client: RawClient) -> None:
    assert [await client.command("edge.progress", "token") for _ in range(3)] == [0, 0, 0]
    assert len(client.received("$/progress")) == 6


async def test_defect_5_a_request_that_cannot_be_decoded_is_answered(client: RawClient) -> None:
    for method, params in UNDECODABLE:
        with pytest.raises(ResponseError) as error:
            await client.request(method, params)
        assert error.value.code == -32602
        assert method in error.value.message


async def test_defect_5_a_custom_request_without_params_is_answered(client: RawClient) -> None:
    assert await client.request("edge/request") == {"kind": "NoneType", "params": None}


async def test_defect_6_an_answer_that_does_not_fit_is_an_error(client: RawClient) -> None:
    client.handlers["window/showDocument"] = lambda _: None
    kind, text = await client.command("edge.ask", "window/showDocument", {"uri": "file:///a"}, 30)
    assert kind == "error"
    assert "does not fit" in text


async def test_defect_6_a_client_that_never_answers_costs_only_the_time_given(client: RawClient) -> None:
    client.handlers["edge/question"] = RawClient.SILENT
    assert await client.command("edge.ask", "edge/question", {}, 0.1) == ["timeout"]
    withdrawn = await client.wait_for_method("$/cancelRequest")
    assert withdrawn["params"] == {"id": client.requests[0]["id"]}


async def test_the_clients_answers_and_errors_arrive(client: RawClient) -> None:
    client.handlers["window/showDocument"] = lambda params: {"success": params["uri"] == "file:///a"}
    client.handlers["edge/question"] = lambda params: {"got": params}
    assert await client.command("edge.ask", "window/showDocument", {"uri": "file:///a"}, 30) == [
        "answer",
        {"success": True},
    ]
    assert await client.command("edge.ask", "edge/question", {"a-b": 1}, 30) == ["answer", {"got": {"a-b": 1}}]
    assert await client.command("edge.ask", "edge/unknown", None, 30) == ["error", "no edge/unknown here (-32601)"]


async def test_pygls_own_requests_get_their_answers_too(client: RawClient) -> None:
    client.handlers["window/workDoneProgress/create"] = lambda _: None
    assert await client.command("edge.create_progress", "token") == "created"


async def test_answers_to_nothing_are_ignored(client: RawClient) -> None:
    message_id, future = begin(client, "edge.sleep", "x")
    await client.wait_for_method("edge/started")
    for nonsense in (message_id, "unknown", None, [1], {"a": 1}):
        client.send({"jsonrpc": "2.0", "id": nonsense, "result": 1})
        client.send({"jsonrpc": "2.0", "id": nonsense, "error": 7})
    assert await client.command("edge.echo") == []
    assert not future.done()


async def test_defect_7_a_nested_jsonrpc_member_is_data(client: RawClient) -> None:
    nested = {"jsonrpc": "2.0", "method": "x", "id": 1, "inner": [{"jsonrpc": "2.0", "result": 2}]}
    assert await client.command("edge.echo", nested) == [nested]
    assert (await client.request("edge/request", nested))["params"] == nested


async def test_defect_8_custom_params_stay_plain(client: RawClient) -> None:
    params = {"class": 1, "a-b": 2, "type_name": "Foo", "list": [{"x": None}]}
    assert await client.request("edge/request", params) == {"kind": "dict", "params": params}


async def test_defect_9_commands_take_defaults_and_no_arguments(client: RawClient) -> None:
    assert await client.command("edge.default", 1) == [1, "default"]
    assert await client.command("edge.default", 1, "given") == [1, "given"]
    assert await client.command("edge.wants_server") == ["edge", None]
    assert await client.command("edge.wants_server", {"a": 1}) == ["edge", {"a": 1}]
    assert await client.request("workspace/executeCommand", {"command": "edge.echo"}) == []


async def test_defect_9_arguments_that_do_not_fit_are_invalid_params(client: RawClient) -> None:
    for arguments in ([], [1, "2", 3]):
        with pytest.raises(ResponseError, match=r"edge\.default") as error:
            await client.command("edge.default", *arguments)
        assert error.value.code == -32602


async def test_an_unknown_command_names_those_that_there_are(client: RawClient) -> None:
    with pytest.raises(ResponseError, match=r"'edge.nope'.*edge.echo") as error:
        await client.command("edge.nope")
    assert error.value.code == -32602


async def test_a_command_sees_its_work_done_token(client: RawClient) -> None:
    params = {"command": "edge.token", "workDoneToken": "token"}
    assert await client.request("workspace/executeCommand", params) == "token"
    assert await client.command("edge.token") is None


async def test_defect_10_threads_that_are_busy_do_not_make_the_server_deaf(client: RawClient) -> None:
    busy = [begin(client, "edge.thread", 3600)[1] for _ in range(40)]
    await client.wait_for_method("edge/started")
    assert await client.command("edge.echo", 1) == [1]
    assert not any(future.done() for future in busy)
    assert await client.shut_down() == 0


# Streams.


async def test_defect_13_a_client_that_does_not_read_does_not_stop_the_server(tmp_path: Path) -> None:
    sign = tmp_path / "stopped"
    async with RawClient.started(*SERVER, reading=False, env={"EDGE_STOPPED": str(sign)}) as client:
        client.send(
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"processId": None, "capabilities": {}}}
        )
        flood = client.expect(2)
        client.send(
            {
                "jsonrpc": "2.0",
                "id": 2,
                "method": "workspace/executeCommand",
                "params": {"command": "edge.flood", "arguments": [100, 100_000]},
            }
        )
        client.notify("edge/bad_note", 1)
        await client.wait_for_stderr("a notification failed")
        assert not flood.done()
        client.read()
        assert (await answer(flood))["result"] == 100
        assert len(client.received("edge/flood")) == 100


async def test_defect_14_many_threads_write_whole_messages_without_buffers() -> None:
    async with RawClient.started(*SERVER, env={"PYTHONUNBUFFERED": "1"}) as client:
        await client.initialize()
        await client.command("edge.threads", 30, 20_000)
        texts = [params["text"] for params in client.received("edge/thread")]
        assert sorted(texts) == sorted(name * 20_000 for name in "abcdefgh" for _ in range(30))


async def test_prints_and_children_neither_write_nor_read_the_protocol(client: RawClient) -> None:
    assert await client.command("edge.print") == "printed"
    assert await client.command("edge.echo", 1) == [1]
    await client.wait_for_stderr("from a child")
    await client.wait_for_stderr("write to 1")
    assert client.junk == b""


async def test_defect_17_what_is_no_message_is_answered_and_nobody_is_bothered(client: RawClient) -> None:
    for body, code in NO_MESSAGES:
        client.responses.clear()
        client.raw(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        response = await client.wait_for_response(lambda m: "error" in m)
        assert response["error"]["code"] == code, body[:100]
        assert response["id"] == ("x" if b'"x"' in body else None)
    assert await client.command("edge.echo", 1) == [1]
    assert client.received("window/showMessage") == []


async def test_defect_18_failures_are_told_without_tracebacks_and_popups(client: RawClient) -> None:
    client.notify("edge/bad_note", 1)
    with pytest.raises(ResponseError, match="a secret place") as error:
        await client.command("edge.fail")
    assert error.value.code == -32603
    assert "Traceback" not in json.dumps([error.value.message, error.value.data])
    assert "line" not in json.dumps(error.value.data)
    await client.wait_for_stderr("a notification failed")
    assert client.received("window/showMessage") == []


async def test_a_result_that_is_not_json_is_an_error(client: RawClient) -> None:
    with pytest.raises(ResponseError) as error:
        await client.command("edge.unserialisable")
    assert error.value.code == -32603


async def test_defect_19_messages_are_not_logged() -> None:
    code = "import logging, runpy, sys\nlogging.basicConfig(level=logging.INFO)\n"
    code += "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    async with RawClient.started(sys.executable, "-c", code, SERVER[-1]) as client:
        await client.initialize()
        assert await client.command("edge.echo", "a secret key") == ["a secret key"]
        await client.shut_down()
        assert "a secret key" not in client.stderr


async def test_defects_20_and_21_the_mirror_follows_the_protocol_and_never_the_disk(
    client: RawClient, tmp_path: Path
) -> None:
    path = tmp_path / "a b.py"
    path.write_text("on disk")
    uri = path.as_uri()
    assert await client.command("edge.document", uri) is None
    item = {"uri": uri, "languageId": "python", "version": 1, "text": "a\fb\ncd"}
    client.notify("textDocument/didOpen", {"textDocument": item})
    insert = {"range": {"start": {"line": 1, "character": 9}, "end": {"line": 1, "character": 9}}, "text": "X"}
    client.notify("textDocument/didChange", {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [insert]})
    assert await client.command("edge.document", uri) == ["a\fb\ncdX", 2, "python"]
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert await client.command("edge.document", uri) is None


async def test_a_change_wakes_who_waits_for_it(client: RawClient) -> None:
    _, waiting = begin(client, "edge.wait_for_change", "file:///a", 30)
    await client.wait_for_method("edge/waiting")
    item = {"uri": "file:///a", "languageId": "", "version": 1, "text": ""}
    client.notify("textDocument/didOpen", {"textDocument": item})
    assert (await answer(waiting))["result"] is True


# The beginning.


async def test_the_capabilities_say_what_the_daemon_needs() -> None:
    async with RawClient.started(*SERVER) as client:
        offer = {"general": {"positionEncodings": ["utf-7", "utf-32", "utf-16"]}}
        capabilities = (await client.initialize(offer))["capabilities"]
    assert capabilities["experimental"] == {"agentic": {"version": 1}}
    assert capabilities["executeCommandProvider"]["workDoneProgress"] is True
    assert capabilities["textDocumentSync"] == {"openClose": True, "change": 2, "save": {"includeText": True}}
    assert capabilities["positionEncoding"] == "utf-32"


async def test_requests_before_initialize_and_a_second_initialize_are_refused() -> None:
    async with RawClient.started(*SERVER) as client:
        with pytest.raises(ResponseError) as early:
            await client.command("edge.echo")
        assert early.value.code == -32002
        await client.initialize()
        with pytest.raises(ResponseError) as twice:
            await client.initialize()
        assert twice.value.code == -32600


async def test_requests_after_shutdown_are_refused(client: RawClient) -> None:
    await client.request("shutdown")
    with pytest.raises(ResponseError) as error:
        await client.command("edge.echo")
    assert error.value.code == -32600
    client.notify("exit")
    assert await client.exit_code() == 0


# The end.


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_defect_11_a_signal_ends_what_runs_and_then_the_process(number: int, code: int) -> None:
    async with RawClient.started(*SERVER) as client:
        await client.initialize()
        begin(client, "edge.sleep", "x")
        await client.wait_for_method("edge/started")
        client.process.send_signal(number)
        assert await client.exit_code() == code
        assert [m["method"] for m in client.notifications][-2:] == ["edge/stopping", "edge/cancelled"]


async def test_defect_12_exit_without_shutdown_is_a_failure(client: RawClient) -> None:
    client.notify("exit")
    assert await client.exit_code() == 1
    assert client.received("edge/stopping") == [{}]


async def test_shutdown_and_exit_are_a_success_and_the_hooks_run_once(client: RawClient) -> None:
    assert await client.shut_down() == 0
    assert client.received("edge/stopping") == [{}]


async def test_shutdown_as_a_notification_counts_too(client: RawClient) -> None:
    client.notify("shutdown")
    client.notify("exit")
    assert await client.exit_code() == 0


async def test_defect_22_the_server_goes_with_its_client_though_stdin_stays_open() -> None:
    parent = await asyncio.create_subprocess_exec("sleep", "3600")
    async with RawClient.started(*SERVER) as client:
        await client.initialize(processId=parent.pid)
        parent.kill()
        await parent.wait()
        assert await client.exit_code() == 1
        assert client.received("edge/stopping") == [{}]


async def test_a_client_in_another_container_is_not_taken_for_dead() -> None:
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    async with RawClient.started(*SERVER) as client:
        await client.initialize(processId=gone.pid)
        assert await client.command("edge.echo", 1) == [1]


@pytest.mark.parametrize("running", [None, "edge.sleep", "edge.thread", "edge.stubborn"])
async def test_defect_23_the_end_of_stdin_ends_the_process_whatever_runs(
    client: RawClient, running: str | None
) -> None:
    arguments = {"edge.sleep": ["x"], "edge.thread": [3600]}
    if running is not None:
        begin(client, running, *arguments.get(running, []))
        await client.wait_for_method("edge/started")
    client.close_stdin()
    assert await client.exit_code() == 0
    assert client.received("edge/stopping") == [{}]


async def test_defect_23_a_client_that_closes_only_its_reading_side_ends_the_process(tmp_path: Path) -> None:
    sign = tmp_path / "stopped"
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *SERVER,
        stdin=asyncio.subprocess.PIPE,
        stdout=writing,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "EDGE_STOPPED": str(sign)},
    )
    os.close(writing)
    os.close(reading)
    assert process.stdin is not None
    body = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"capabilities":{}}}'
    process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    assert await asyncio.wait_for(process.wait(), 30) == 1
    assert sign.read_text() == "stopped"


async def test_hooks_that_hang_do_not_keep_the_process() -> None:
    async with RawClient.started(*SERVER, env={"EDGE_STUCK": "1"}) as client:
        await client.initialize()
        assert await client.shut_down() == 0


async def test_a_killed_client_takes_the_server_with_it(tmp_path: Path) -> None:
    sign = tmp_path / "stopped"
    code = "import subprocess, sys; subprocess.run(sys.argv[1:], stdin=sys.stdin)"
    async with RawClient.started(sys.executable, "-c", code, *SERVER, env={"EDGE_STOPPED": str(sign)}) as client:
        await client.initialize(processId=client.process.pid)
        client.process.kill()
        await client.process.wait()
        client.close_stdin()
        await client.end_of_output()
        assert sign.read_text() == "stopped"


# TCP.


async def test_tcp_serves_one_client_on_loopback() -> None:
    async with RawClient.started(*SERVER, "127.0.0.1", "0") as client:
        line = await client.wait_for_stderr("listening on")
        port = int(line.strip().rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"capabilities":{}}}'
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"Content-Length")
        writer.close()
        assert await client.exit_code() == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
async def test_tcp_refuses_addresses_that_others_can_reach(host: str) -> None:
    async with RawClient.started(*SERVER, host, "0") as client:
        assert await client.exit_code() == 1
        assert f"{host} is not a loopback address" in client.stderr


async def test_a_port_that_is_taken_is_an_error() -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with taken, RawClient.started(*SERVER, "127.0.0.1", str(taken.sockets[0].getsockname()[1])) as client:
        assert await client.exit_code() == 1
        assert "cannot serve the client" in client.stderr
