"""The path resolver: nothing leads out, and nothing writes to git's own files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentic.errors import Refusal
from agentic.safety.paths import Resolved, Roots, check_again


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("a")
    (tmp_path / "ws-evil").mkdir()
    (tmp_path / "ws-evil" / "f").write_text("secret")
    return folder


def place(result: Resolved | Refusal) -> Path:
    assert isinstance(result, Resolved), result
    return result.absolute


def code(result: Resolved | Refusal | None) -> str:
    assert isinstance(result, Refusal), result
    assert result.next_step
    return result.code


@pytest.mark.parametrize(
    ("path", "relative"),
    [
        ("src/a.py", "src/a.py"),
        ("./src//a.py", "src/a.py"),
        ("src/../src/./a.py/", "src/a.py"),
        ("", "."),
        (".", "."),
        ("new/deep/file", "new/deep/file"),
        ("a~", "a~"),
        ("..a/...", "..a/..."),
        ("back\\slash", "back\\slash"),
        ("häß lich/\u202etxt.sh", "häß lich/\u202etxt.sh"),
    ],
)
def test_relative_paths(root: Path, path: str, relative: str) -> None:
    resolved = Roots([root], windows=False).resolve(path)
    assert resolved == Resolved(root / relative, relative, root, root / relative)


def test_absolute_paths_and_uris(root: Path) -> None:
    roots = Roots([root])
    (root / "a b#é").write_text("")
    for path in (f"{root}/a b#é", (root / "a b#é").as_uri(), f"file:{root}/a b#é", f"file://localhost{root}/a b#é"):
        resolved = roots.resolve(path)
        assert isinstance(resolved, Resolved), path
        assert resolved.relative == "a b#é"
    assert place(roots.resolve(str(root))) == root


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../ws-evil/f",
        "src/../../ws-evil/f",
        "/",
        "/etc/passwd",
        "//etc/passwd",
        "{root}-evil/f",
        "{root}/../ws-evil/f",
        "{root}/src/../../ws-evil/f",
        "file:///etc/passwd",
        "file://{root}/../ws-evil/f",
        "file://{root}/%2e%2e/ws-evil/f",
        "file://{root}%2f..%2f..%2fetc/passwd",
        "FILE:///etc/passwd",
        "file://host{root}/src/a.py",
        "http://localhost/x",
        "untitled://x",
        "~",
        "~/x",
        "~root/.ssh/id_rsa",
    ],
)
def test_what_leads_out_is_refused(root: Path, path: str) -> None:
    assert code(Roots([root]).resolve(path.replace("{root}", str(root)))) == "outside_workspace"


@pytest.mark.parametrize("character", ["\0", "\n", "\r", "\x1b", "\x7f", "\x85", "\ud800", "\t"])
def test_control_characters_are_refused(root: Path, character: str) -> None:
    assert code(Roots([root]).resolve(f"src/a{character}.py")) == "denied"


def test_escaped_control_characters_in_a_uri_are_refused(root: Path) -> None:
    assert code(Roots([root]).resolve(f"file://{root}/a%00b")) == "denied"
    assert code(Roots([root]).resolve(f"file://{root}/a%ff")) == "denied"


def test_backslashes_part_components_on_windows_only(root: Path) -> None:
    assert place(Roots([root], windows=True).resolve("src\\a.py")) == root / "src" / "a.py"
    assert code(Roots([root], windows=True).resolve("src\\..\\..\\ws-evil\\f")) == "outside_workspace"
    assert code(Roots([root], windows=True).resolve("src/a.py::$DATA")) == "denied"


@pytest.mark.parametrize(
    "target", ["../ws-evil", "{root}-evil", "../ws-evil/f", "../ws-evil/absent", "/", "src/../../ws-evil"]
)
@pytest.mark.parametrize("below", ["", "/f", "/new/deep/file"])
def test_symbolic_links_that_lead_out(root: Path, target: str, below: str) -> None:
    (root / "src" / "link").symlink_to(target.replace("{root}", str(root)).replace("../ws", "../../ws"))
    (root / "around").symlink_to("src/link")
    for link in ("src/link", "around", "src/../around"):
        assert code(Roots([root]).resolve(link + below)) == "outside_workspace"
        assert code(Roots([root]).resolve_for_write(link + below)) == "outside_workspace"


def test_symbolic_links_that_stay(root: Path) -> None:
    (root / "link").symlink_to("src")
    (root / "again").symlink_to(root / "link" / "a.py")
    assert place(Roots([root]).resolve("link/new")) == root / "src" / "new"
    resolved = Roots([root]).resolve_for_write("again")
    assert isinstance(resolved, Resolved)
    assert (resolved.absolute, resolved.relative) == (root / "src" / "a.py", "again")


def test_two_dots_fold_away_before_links_are_followed(root: Path) -> None:
    (root / "link").symlink_to("../ws-evil")
    assert place(Roots([root]).resolve("link/../src/a.py")) == root / "src" / "a.py"


def test_links_in_a_circle(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    assert code(Roots([root]).resolve("one")) == "denied"


def test_a_root_may_be_reached_through_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "short").symlink_to(root)
    roots = Roots([tmp_path / "short"])
    assert roots.names == ("short",)
    for path in ("src/a.py", str(tmp_path / "short/src/a.py"), str(root / "src/a.py")):
        resolved = roots.resolve(path)
        assert place(resolved) == root / "src" / "a.py"
        assert isinstance(resolved, Resolved)
        assert resolved.relative == "src/a.py"


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".git",
            ".GIT",
            ".Git",
            ".gIt",
            ".ｇit",
            ".git ",
            ".git.",
            ".git. .",
            ".git::$INDEX_ALLOCATION",
            ".g\u200cit",
        ),
        *(".gi\u200dt", "\ufeff.git", "GIT~1", "git~1", ".ＧＩＴ", "．git", ".𝐠𝐢𝐭"),
    ],
)
@pytest.mark.parametrize("shape", ["{}", "{}/hooks/pre-commit", "src/{}/config", "src/../{}/config", "./{}//x"])
def test_gits_files_are_readable_and_never_writable(root: Path, name: str, shape: str) -> None:
    roots = Roots([root], windows=False)
    path = shape.format(name)
    assert isinstance(roots.resolve(path), Resolved)
    assert code(roots.resolve_for_write(path)) == "denied"
    assert code(roots.resolve_for_write(f"{root}/{path}")) == "denied"


def test_gits_files_are_not_writable_through_links(root: Path) -> None:
    (root / ".git" / "hooks").mkdir(parents=True)
    (root / "innocent").symlink_to(".git/hooks")
    (root / "file").symlink_to(".git/config")
    assert code(Roots([root]).resolve_for_write("innocent/pre-commit")) == "denied"
    assert code(Roots([root]).resolve_for_write("file")) == "denied"


@pytest.mark.parametrize("path", [".gitignore", ".gitmodules", ".github/x", "git", "a.git/config", "src/.gitkeep"])
def test_names_that_only_look_like_git_are_writable(root: Path, path: str) -> None:
    assert isinstance(Roots([root]).resolve_for_write(path), Resolved)


def test_a_root_inside_a_git_folder_of_its_own_is_writable(tmp_path: Path) -> None:
    worktree = tmp_path / ".git" / "worktree"
    worktree.mkdir(parents=True)
    assert isinstance(Roots([worktree]).resolve_for_write("a.py"), Resolved)


def test_several_roots_are_told_apart_by_name(tmp_path: Path) -> None:
    one, two = tmp_path / "x" / "app", tmp_path / "y" / "app"
    one.mkdir(parents=True)
    two.mkdir(parents=True)
    roots = Roots([one, two])
    assert roots.names == ("app", "app-2")
    assert place(roots.resolve("app-2/f")) == two / "f"
    assert place(roots.resolve("app/../app-2/f")) == two / "f"
    absolute = roots.resolve(str(two / "f"))
    assert isinstance(absolute, Resolved)
    assert absolute.relative == "app-2/f"
    assert place(roots.resolve(".")) == one
    assert code(roots.resolve("f")) == "outside_workspace"
    assert code(roots.resolve("../app/f")) == "outside_workspace"
    (one / "link").symlink_to(two)
    assert place(roots.resolve("app/link/f")) == two / "f"


def test_a_link_laid_after_resolving_is_found(root: Path, tmp_path: Path) -> None:
    roots = Roots([root])
    in_folder, itself = roots.resolve_for_write("src/new"), roots.resolve_for_write("file")
    assert isinstance(in_folder, Resolved)
    assert isinstance(itself, Resolved)
    assert check_again(in_folder) is None
    assert check_again(itself) is None
    (root / "src").rename(root / "old")
    (root / "src").symlink_to(tmp_path / "ws-evil")
    (root / "file").symlink_to(tmp_path / "ws-evil" / "f")
    assert code(check_again(in_folder)) == "outside_workspace"
    assert code(check_again(itself)) == "outside_workspace"


COMPONENTS = st.sampled_from(["..", ".", "", "d", "out", "in", "up", "loop", "f", "new", ".git", "ws"])


@given(parts=st.lists(COMPONENTS, max_size=8), absolute=st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_resolves_is_where_the_system_says_it_is(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], absolute: bool
) -> None:
    root = _maze(tmp_path_factory)
    path = "/".join(parts)
    resolved = Roots([root]).resolve(f"{root}/{path}" if absolute else path.lstrip("/"))
    folded = Path(os.path.normpath(root / path.lstrip("/")))
    real = Path(os.path.realpath(folded))
    inside = folded.is_relative_to(root) and real.is_relative_to(root) and not real.is_symlink()
    if isinstance(resolved, Refusal):
        assert not inside or (not absolute and _dips_out(parts))
    else:
        assert inside
        assert resolved.absolute == real
        assert resolved.relative == folded.relative_to(root).as_posix()


def _dips_out(parts: list[str]) -> bool:
    """Whether a relative path leaves the root on its way, even if it comes back."""
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def _maze(factory: pytest.TempPathFactory) -> Path:
    """A workspace with links that stay, leave and go round; made once."""
    root = factory.getbasetemp() / "maze" / "ws"
    if not root.exists():
        (root / "d" / "d").mkdir(parents=True)
        (root / ".git").mkdir()
        for folder in (root, root / "d", root / "d" / "d"):
            (folder / "out").symlink_to(root.parent)
            (folder / "in").symlink_to(root / "d")
            (folder / "up").symlink_to("..")
            (folder / "loop").symlink_to("loop")
            (folder / "f").write_text("")
    return root
