"""Real Neovim, headless, set up with the very block of docs/neovim.md, and the model server double beside it.

Neovim is driven from the test's own thread, which blocks; the model server runs in another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pynvim
from support.model_server import Answer, Json, ModelServer, Reply

T = TypeVar("T")

DOCUMENT = Path(__file__).parents[2] / "docs" / "neovim.md"
PATIENCE = 45.0
"""Seconds after which what has not come is taken never to come; far more than anything needs."""

WORK = '{"route":"work","domain":"coding","confidence":0.9,"complexity":0.2,"language":"en","plan":[]}\n'
REPLY = '{"route":"reply","domain":"general","confidence":0.9,"complexity":0.0,"language":"en","plan":[]}\n'

_WATCH = r"""
_G.T = { progress = {}, messages = {}, asked = {}, results = {}, picked = {}, answers = ... }

local function tap(method, note)
  local handler = vim.lsp.handlers[method]
  vim.lsp.handlers[method] = function(failure, params, ...)
    note(params)
    return handler(failure, params, ...)
  end
end
tap("$/progress", function(params) table.insert(T.progress, params) end)
tap("window/showMessage", function(params) table.insert(T.messages, params.message) end)

-- A question: what a person would see of it, and the number of what they choose; 0 dismisses it.
local function answer(prompt, titles)
  table.insert(T.asked, prompt .. "\n" .. table.concat(titles, "\n"))
  local wanted = table.remove(T.answers, 1)
  for number, title in ipairs(titles) do
    if wanted and title:find(wanted, 1, true) then
      return number
    end
  end
  return 0
end

-- With this Neovim asks questions before 0.10: the prompt, a line between, the options.
vim.fn.inputlist = function(lines)
  return answer(lines[1], vim.list_slice(lines, 3))
end

-- A menu that the test has opened, in which it chooses `T.wanted` or nothing; any other is a question.
vim.ui.select = function(items, options, choose)
  local titles = {}
  for number, item in ipairs(items) do
    titles[number] = options.format_item and options.format_item(item) or tostring(item)
  end
  if not T.picking then
    local number = answer(options.prompt, titles)
    return choose(items[number], number > 0 and number or nil)
  end
  T.picking = false
  table.insert(T.picked, titles)
  for number, title in ipairs(titles) do
    if T.wanted and title:find(T.wanted, 1, true) then
      return choose(items[number], number)
    end
  end
  choose(nil)
end

function T.client()
  for _, client in ipairs((vim.lsp.get_clients or vim.lsp.get_active_clients)()) do
    if client.name == "agentic" then
      return client
    end
  end
end

function T.call(name, ...)
  local client = T.client()
  if vim.fn.has("nvim-0.11") == 1 then
    return client[name](client, ...)
  end
  return client[name](...)
end

function T.execute(key, command, arguments)
  T.call("request", "workspace/executeCommand", { command = command, arguments = arguments }, function(failure, result)
    T.results[key] = { failure = failure or false, result = result }
  end, 0)
end
"""


class Neovim:
    """One running editor. Whatever waits does so with generous patience, and fails with what Neovim has to say."""

    def __init__(self, folder: Path, state: Path, settings: dict[str, Any], answers: Iterable[str] = ()) -> None:
        self.folder = folder
        self._calls = 0
        self._nvim = pynvim.attach("child", argv=["env", "-i", *_environment(state), _program(), *_ARGUMENTS])
        self._nvim.command("set hidden noswapfile")
        self._nvim.command(f"cd {folder}")
        self.process = psutil.Process(self.lua("return vim.loop.os_getpid()"))
        self._nvim.vars["agentic"] = settings
        self.lua(_WATCH, list(answers))
        self.lua(set_up_block())

    def lua(self, code: str, *arguments: Any) -> Any:
        """Run Lua in the editor; `...` are the arguments."""
        return self._nvim.exec_lua(code, *arguments)

    def command(self, text: str) -> None:
        """Run an Ex command."""
        self._nvim.command(text)

    def open(self, name: str) -> None:
        """Edit a file of the folder, and wait until the daemon has it."""
        self.command(f"edit {self.folder / name}")
        attached = "local c = T.client(); return c ~= nil and vim.lsp.buf_is_attached(0, c.id)"
        self.until(lambda: self.lua(attached), f"the daemon attached to {name}")

    def type(self, keys: str) -> None:
        """Type keys, such as `ggOhello<Esc>`."""
        self._nvim.feedkeys(self._nvim.replace_termcodes(keys, True, True, True), "tx")

    @property
    def text(self) -> str:
        """The current buffer, each line with a line feed."""
        return "".join(f"{line}\n" for line in self._nvim.current.buffer[:])

    def until(self, look: Callable[[], T], what: str) -> T:
        """Look until there is something to see."""
        return eventually(look, what, self.report)

    def start(self, task: str, **options: Any) -> dict[str, Any]:
        """Run a task by `agentic.runTask`; its ids."""
        return self.execute("agentic.runTask", {"task": task, **options})

    def execute(self, command: str, argument: dict[str, Any] | None = None) -> Any:
        """Run a command of the daemon and wait for its result. An error fails."""
        answer = self.answer_to(command, argument)
        assert not answer["failure"], answer["failure"]
        return answer["result"]

    def answer_to(self, command: str, argument: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a command of the daemon; its `result`, or the `failure`."""
        self._calls += 1
        key = str(self._calls)
        self.lua("T.execute(...)", key, command, [argument] if argument else [])
        return self.until(lambda: self.lua("return T.results[...]", key), f"an answer to {command}")

    @property
    def progress(self) -> list[dict[str, Any]]:
        """The `$/progress` values so far, each with its token."""
        return [{"token": one["token"], **one["value"]} for one in self.lua("return T.progress")]

    @property
    def messages(self) -> list[str]:
        """What `window/showMessage` has shown so far."""
        return self.lua("return T.messages")

    @property
    def asked(self) -> list[str]:
        """The questions put to the user so far, with their options."""
        return self.lua("return T.asked")

    def finished(self, count: int = 1) -> str:
        """Wait for the end of the count-th turn; what its message said."""
        self.until(lambda: len(self.messages) >= count, f"the end of turn {count}")
        ended = self.until(lambda: [v for v in self.progress if v["kind"] == "end"][count - 1 :], "the progress' end")
        assert ended
        return self.messages[count - 1]

    def cancel_progress(self) -> None:
        """What a client with a button for it sends."""
        token = self.progress[-1]["token"]
        self.lua("T.call('notify', 'window/workDoneProgress/cancel', { token = ... })", token)

    @property
    def diagnostics(self) -> list[tuple[int, int, str]]:
        """Line from 0, column in bytes and message of each in the current buffer, in order."""
        found: list[dict[str, Any]] = self.lua("return vim.diagnostic.get(0)")
        return sorted((one["lnum"], one["col"], one["message"]) for one in found)

    def proposals(self, count: int = 1) -> list[tuple[int, int, str]]:
        """Wait until so many hunks are shown; their diagnostics."""
        self.until(lambda: len(self.diagnostics) == count, f"{count} proposed changes")
        return self.diagnostics

    def no_proposals(self) -> None:
        """Wait until none is shown any more."""
        self.until(lambda: not self.diagnostics, "the proposals' end")

    def hover(self, line: int) -> str:
        """What hovering shows on a line, from 1."""
        self._nvim.current.window.cursor = (line, 0)
        self.lua("vim.lsp.buf.hover()")
        floating = """for _, window in ipairs(vim.api.nvim_list_wins()) do
          if vim.api.nvim_win_get_config(window).relative ~= "" then
            local lines = vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false)
            vim.api.nvim_win_close(window, true)
            return table.concat(lines, "\\n")
          end
        end"""
        return self.until(lambda: self.lua(floating), "a hover")

    def actions(self, line: int) -> list[str]:
        """The titles of the code actions on a line, from 1."""
        return self.choose(line, None)

    def choose(self, line: int, wanted: str | None) -> list[str]:
        """Ask for code actions on a line, from 1, and run the one whose title has the wanted words; all titles."""
        self._nvim.current.window.cursor = (line, 0)
        return self.pick(lambda: self.lua("vim.lsp.buf.code_action()"), wanted)

    def pick(self, opens: Callable[[], object], wanted: str | None) -> list[str]:
        """Do what opens a menu and choose in it; what it offered."""
        self.lua("T.wanted, T.picked, T.picking = ..., {}, true", wanted)
        opens()
        titles = self.until(lambda: self.lua("return T.picked[1]"), "a menu")
        assert wanted is None or any(wanted in title for title in titles), titles
        return titles

    @property
    def daemon(self) -> psutil.Process:
        """The daemon's process."""
        found = [p for p in self.process.children() if "serve" in p.cmdline()]
        assert len(found) == 1, found
        return found[0]

    def report(self) -> str:
        """What there is to say of a failure."""
        log = self.lua("return vim.lsp.get_log_path()")
        tail = Path(log).read_text()[-3000:] if Path(log).exists() else ""
        return f"messages: {self.messages}\nasked: {self.asked}\nprogress: {self.progress[-5:]}\nlog: {tail}"

    def quit(self) -> None:
        """`:qa!`, as a user does; returns when the editor is gone. It can be repeated."""
        if not self.process.is_running():
            return
        with contextlib.suppress(OSError, EOFError):
            self._nvim.command("qa!", async_=True)
        try:
            eventually(lambda: not self.process.is_running(), "the editor's end")
        finally:
            if self.process.is_running():
                self.process.kill()
            self._nvim.close()


_ARGUMENTS = ["--headless", "--embed", "--clean", "-n"]


def set_up_block() -> str:
    """The Lua that docs/neovim.md tells users to put into their configuration."""
    blocks = re.findall(r"```lua\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) == 1, "docs/neovim.md has one block of Lua"
    return blocks[0]


def eventually(look: Callable[[], T], what: str, report: Callable[[], str] = lambda: "") -> T:
    """Look until there is something to see, for as long as patience lasts."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what} never came\n{report()}"
        time.sleep(0.02)
    return seen


@contextmanager
def model_server(script: Iterable[Answer] | Callable[[Json], Answer]) -> Generator[ModelServer]:
    """The model server double, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ModelServer(script)
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(PATIENCE)
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


@contextmanager
def stage(
    folder: Path,
    files: Mapping[str, str | bytes],
    script: Iterable[Answer] | Callable[[Json], Answer],
    mode: str = "ask",
    answers: Iterable[str] = (),
) -> Generator[tuple[Neovim, ModelServer]]:
    """An editor in a workspace with these files, the first of them open, beside the model server that it is set up for.

    `answers` are given to questions in order, each a part of the option to choose; what is not answered is dismissed.
    """
    workspace = folder / "workspace"
    for name, content in files.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with model_server(script) as server:
        editor = Neovim(workspace, folder / "state", {"endpoints": [{"url": server.url}], "mode": mode}, answers)
        try:
            editor.open(next(iter(files)))
            yield editor, server
        finally:
            editor.quit()


def edit(path: str, old: str, new: str) -> tuple[str, Json]:
    """A call of edit_file."""
    return "edit_file", {"path": path, "old": old, "new": new}


def command(text: str) -> tuple[str, Json]:
    """A call of run_command."""
    return "run_command", {"command": text}


def work(*calls: tuple[str, Json], text: str = "") -> Reply:
    """The first answer to a task that needs tools."""
    return Reply(WORK + text, calls=calls)


def results(request: Json) -> list[str]:
    """What the tools have answered, as a request to the model tells it."""
    return [message["content"] for message in request["messages"] if message["role"] == "tool"]


def _program() -> str:
    program = shutil.which("nvim")
    assert program, "nvim is not installed: these tests drive Neovim 0.7 or newer"
    return program


def _environment(state: Path) -> list[str]:
    """A small environment in which nothing of the user's own is found, and `agentic` is the one under test."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    homes = {f"XDG_{kind}_HOME": str(state / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    values = {"PATH": path, "HOME": str(state), "LANG": "C.UTF-8", "AGENTIC_STATE_DIR": str(state / "agentic"), **homes}
    return [f"{name}={value}" for name, value in values.items()]
