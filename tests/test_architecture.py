"""The rules of the house, checked on the source itself."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE_ROOTS = (ROOT / "agent", ROOT / "server")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40

DATA = {"task", "events", "text", "json_text", "change", "merge", "errors", "items"}
MAY_IMPORT: dict[str, set[str]] = {
    **dict.fromkeys(DATA, DATA),
    "ports": DATA,
    "prompts": set(),
    "ignore": DATA | {"ports"},
    "edits": DATA,
    "control": DATA,
    "llm": DATA | {"ports"},
    "syntax": DATA | {"ports"},
    "context": DATA | {"ports", "prompts", "syntax", "ignore"},
    "safety": DATA | {"ports"},
    "store": DATA | {"ports"},
    "tools": DATA | {"ports", "edits", "safety", "context"},
    "disk": DATA | {"ports", "safety", "syntax", "ignore"},
    "team": DATA | {"ports", "context", "prompts", "tools", "disk", "safety"},
}
MAY_IMPORT["graph"] = DATA | MAY_IMPORT.keys()
MAY_IMPORT["runtime"] = MAY_IMPORT["graph"] | {"graph"}
"""Which rooms of `agentic` a room may import, beside itself."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "pygls": ("agentic_server",),
    "lsprotocol": ("agentic_server",),
    "openai": ("agentic.llm",),
    "httpx": ("agentic.llm",),
    "httpx2": ("agentic.llm",),
    "tiktoken": ("agentic.llm",),
    "openai_harmony": ("agentic.llm",),
    "langgraph": ("agentic.graph", "agentic.runtime"),
    "watchfiles": ("agentic.context",),
    "tree_sitter": ("agentic.syntax",),
    "sqlite3": ("agentic.store", "agentic.context.index"),
    "nats": ("agentic.store",),
}
"""Where a library may be imported."""

DOORS = {
    "agentic.tools.runtime": "a tool call",
    "agentic.runtime": "a turn",
    "agentic.graph.worker": "a turn of another agent",
    "agentic_server.app": "a request",
    "agentic_server.sessions": "a turn, on its way out",
    "agentic_server.hardened_protocol": "a request, on its way in and out",
}
"""The only modules with a handler of everything; elsewhere a handler names what it expects."""

LONG_FILES = {"agentic.events": 620}
"""The vocabulary is one list, and is read as one."""

HEAVY = (
    "openai",
    "openai_harmony",
    "httpx",
    "httpx2",
    "langgraph",
    "langchain_core",
    "rich",
    "tiktoken",
    "watchfiles",
    "tree_sitter",
    "pathspec",
    "sqlite3",
    "agentic.context.history",
    "agentic.disk.workspace",
    "agentic.graph.turn",
    "agentic.team.agent",
)
START_PATH = ("agentic_server.app", "agentic_server.settings", "agentic_server.protocol", "agentic.events")


@cache
def modules() -> dict[str, Path]:
    """Every module of the product by its import name; the demo's sample project is data."""
    found: dict[str, Path] = {}
    for root in SOURCE_ROOTS:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if "sample" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def imports_of(module: str) -> frozenset[str]:
    """What a module imports anywhere: at its top, in functions, and for the type checker; submodules by their name."""
    found: set[str] = set()
    for node in ast.walk(tree_of(modules()[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            assert node.level == 0, f"{module} has a relative import"
            submodules = {f"{base}.{alias.name}" for alias in node.names} & modules().keys()
            found |= submodules
            if not submodules or len(submodules) < len(node.names):
                found.add(base)
    return frozenset(found)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_there_is_something_to_check() -> None:
    assert "agentic.events" in modules()
    assert "agentic_server.settings" in modules()
    assert "agentic.task" in imports_of("agentic.events")


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("agentic.")])
def test_rooms_import_what_they_may(module: str) -> None:
    room = room_of(module)
    assert room in MAY_IMPORT, f"{module} is in no room of the table"
    for name in imports_of(module):
        assert not is_inside(name, "agentic_server"), f"{module} imports {name}: the agent knows no editor"
        if is_inside(name, "agentic"):
            assert room_of(name) in {room, *MAY_IMPORT[room]}, f"{module} imports {name}"


@pytest.mark.parametrize("module", modules())
def test_libraries_stay_in_their_rooms(module: str) -> None:
    for name in imports_of(module):
        rooms = ONLY_IN.get(name.split(".")[0])
        allowed = rooms is None or any(is_inside(module, room) for room in rooms)
        assert allowed, f"{module} imports {name}, which only {rooms} may"


@pytest.mark.parametrize("module", [f"agentic.{name}" for name in sorted(DATA)])
def test_data_imports_the_standard_library_and_msgspec(module: str) -> None:
    outside = {name.split(".")[0] for name in imports_of(module)} - sys.stdlib_module_names
    assert outside <= {"agentic", "msgspec"}


def test_no_module_is_in_an_import_cycle() -> None:
    graph = {name: {i for i in imports_of(name) if i in modules()} for name in modules()}
    while free := {name for name, targets in graph.items() if not targets & graph.keys()}:
        graph = {name: targets for name, targets in graph.items() if name not in free}
    assert sorted(graph) == [], "these import each other, or what does"


@pytest.mark.parametrize("module", modules())
def test_files_and_functions_are_short(module: str) -> None:
    path = modules()[module]
    assert len(path.read_text("utf-8").split("\n")) - 1 <= LONG_FILES.get(module, MAX_FILE_LINES), module
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{module}.{node.name} has {lines} lines"


@pytest.mark.parametrize("module", [name for name, path in modules().items() if path.name == "__init__.py"])
def test_packages_hold_a_docstring_only(module: str) -> None:
    body = tree_of(modules()[module]).body
    assert ast.get_docstring(tree_of(modules()[module])), module
    assert len(body) == 1, module


def blind_excepts(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    """Handlers of everything that do not raise it again at their end."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            names = [] if node.type is None else [n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)]
            last = node.body[-1]
            blind = node.type is None or {"Exception", "BaseException"} & set(names)
            if blind and not (isinstance(last, ast.Raise) and last.exc is None):
                yield node


def test_only_the_doors_catch_everything() -> None:
    found = {name for name, path in modules().items() if any(blind_excepts(tree_of(path)))}
    assert sorted(found - DOORS.keys()) == []
    assert sorted(DOORS.keys() - found) == [], "a door that is none any more"


@pytest.mark.parametrize("module", [name for name in START_PATH if name in modules()])
def test_the_start_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


@cache
def kept_files() -> list[Path]:
    """The files of the project: what git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def registry_hosts() -> list[str]:
    """Put together here, so that this file does not hold them."""
    return [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs", "org"))]


def checkout_paths() -> list[str]:
    """This checkout, and what lies beside it where the folder above is not a common one."""
    parent = ROOT.parent
    common = {Path(parent.anchor), Path("/tmp"), Path("/home"), Path("/root"), Path.home()}
    beside: list[Path] = [] if parent in common else list(parent.iterdir())
    return [f"{path}/" for path in (ROOT, *beside)]


def test_no_file_names_a_registry_or_a_workplace() -> None:
    words = re.compile("|".join(map(re.escape, [*registry_hosts(), *checkout_paths()])).encode())
    named = [
        f"{path.relative_to(ROOT)}: {hit[0].decode()}"
        for path in kept_files()
        if (hit := words.search(path.read_bytes()))
    ]
    assert named == []


def test_nothing_is_mocked_or_skipped() -> None:
    """Searched in the syntax tree, so that words in texts do not count."""
    offences: list[str] = []
    for path in kept_files():
        if path.suffix != ".py" or "sample" in path.parts:
            continue
        for node in ast.walk(tree_of(path)):
            name = dotted(node)
            if name.startswith(("unittest.mock", "pytest.mark.skip", "pytest.mark.xfail")) or name in BANNED_CALLS:
                offences.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}: {name}")
    assert offences == []


BANNED_CALLS = ("pytest.skip", "pytest.xfail", "pytest.importorskip", "unittest.skip", "unittest.skipIf")


def dotted(node: ast.AST) -> str:
    """`a.b.c` for an attribute or an import, else nothing."""
    if isinstance(node, ast.ImportFrom) and node.module:
        return ".".join([node.module, *[alias.name for alias in node.names][:1]])
    if isinstance(node, ast.Import):
        return next((alias.name for alias in node.names if alias.name.startswith("unittest.mock")), "")
    if isinstance(node, ast.Attribute):
        before = dotted(node.value) if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        return f"{before}.{node.attr}" if before else ""
    return ""
