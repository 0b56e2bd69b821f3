"""How much every conversation carries before its first word."""

from __future__ import annotations

import json

from benchmarks.editor import daemon, folder
from benchmarks.model_server import model_server
from benchmarks.report import Row


def measure() -> list[Row]:
    with folder() as root, model_server() as server, daemon(server.url, root) as editor:
        editor.run_turn("Hello.")
        request = json.loads(server.asked()[0].body)
    system = len(request["messages"][0]["content"].encode())
    tools = len(json.dumps(request["tools"], ensure_ascii=False, separators=(",", ":")).encode())
    beside = f"system text {system / 4:.0f}, {len(request['tools'])} tools {tools / 4:.0f}"
    return [Row("prompt", "system text and tools, bytes / 4", (system + tools) / 4, "tokens", 2500.0, beside)]
