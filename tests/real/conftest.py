"""Servers that tests share: each starts when the first test wants it, and is killed after the last one."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from real.servers import CHAT, GPT_OSS, HARMONY, HERE, HERMES, PYTHON, Server, llama, output_of, vllm


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport]:
    """Show the end of the servers' logs where a test failed."""
    report = yield
    if report.failed:
        servers = [one for one in getattr(item, "funcargs", {}).values() if isinstance(one, Server)]
        report.sections += [(f"log of {server.url}", server.tail()) for server in servers]
    return report


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def hermes(logs: Path) -> Generator[Server]:
    """vLLM as our documentation tells people to start it for a Qwen model."""
    with vllm(CHAT, *HERMES, log=logs / "hermes.log") as server:
        yield server


@pytest.fixture(scope="module")
def plain(logs: Path) -> Generator[Server]:
    """vLLM without parsers, that works at one request at a time and refuses when another waits already."""
    limits = ("--max-num-seqs", "1", "--max-num-queued-reqs", "1")
    with vllm(CHAT, *limits, log=logs / "plain.log") as server:
        yield server


@pytest.fixture(scope="session")
def gpt_oss(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """vLLM with a model that it takes for gpt-oss."""
    folder = tmp_path_factory.mktemp("harmony")
    output_of(PYTHON["vllm"], HERE / "expand.py", HARMONY, folder)
    with vllm(folder, *GPT_OSS, log=logs / "gpt_oss.log") as server:
        yield server


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripted model as llama.cpp wants it."""
    file = tmp_path_factory.mktemp("gguf") / "scripted.gguf"
    output_of(PYTHON["llama"], HERE / "make_gguf.py", CHAT, file)
    return file


@pytest.fixture(scope="session")
def llama_cpp(logs: Path, gguf: Path) -> Generator[Server]:
    """llama.cpp's server with templates, metrics and slots."""
    with llama(gguf, log=logs / "llama.log") as server:
        yield server
