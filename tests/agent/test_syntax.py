"""Symbols, references and errors of files, from honest ones to garbage."""

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.syntax import languages
from agentic.syntax.apart import errors_apart
from agentic.syntax.errors import MAX_ERRORS, errors
from agentic.syntax.parsing import MAX_BYTES
from agentic.syntax.reading import read
from agentic.syntax.references import references
from agentic.syntax.symbols import MAX_SYMBOLS, symbols

DEFINED = {
    "a.py": ("LIMIT = 1\nclass A(B):\n    def f(self): ...\nasync def g(): ...\n", "LIMIT A A.f g"),
    "a.js": (
        "export const f = () => 1;\nclass A { m() {} }\nfunction g() {}\nexport default class B {}\n",
        "f A A.m g B",
    ),
    "a.jsx": ("const View = () => <p>{text}</p>;\n", "View"),
    "a.ts": (
        "interface P { a(): void }\ntype T = string;\nenum E { X }\nabstract class K { z() {} }\n",
        "P P.a T E K K.z",
    ),
    "a.tsx": ("export const C: FC = () => <div>{a}</div>;\nnamespace N { function f() {} }\n", "C N N.f"),
    "a.go": ("package m\nvar (\n\tb = 2\n)\ntype S struct{}\nfunc (s *S) M() {}\nfunc F() {}\n", "b S S.M F"),
    "a.rs": (
        "struct S;\nimpl<T> Tr for V<T> { fn b() {} }\ntrait Tr { fn b(); }\nmod q { fn z() {} }\n",
        "S V.b Tr Tr.b q q.z",
    ),
    "A.java": ("class A { static final int K = 1; int f() { return 1; } }\nrecord R(int a) {}\n", "A A.K A.f R"),
    "a.c": ("#define N 3\nstruct s { int a; };\nstatic int *f(int a) { return 0; }\n", "N s f"),
    "a.cpp": (
        "namespace n { class A { void m() {} }; }\nint n::A::k() { return 1; }\nvoid A::z() {}\n",
        "n n.A A.m A.k A.z",
    ),
    "a.cs": ("namespace N { class A { int P { get; } void F() {} } interface I {} }\n", "N N.A A.P A.F N.I"),
    "a.rb": ("module M\n class A\n  def f?; end\n  def self.g; end\n end\nend\n", "M M.A A.f? A.g"),
    "a.php": ("<?php\nconst K = 1;\nclass A { function f() {} }\nfunction g() {}\n", "K A A.f g"),
    "a.sh": ("X=1\nf() { echo hi; }\nfunction g { :; }\n", "X f g"),
    "a.lua": ("local x = 1\nfunction f() end\nfunction M:i() end\nM.j = function() end\n", "x f M.i M.j"),
    "a.json": ('{"name": "x", "b": {"c": 1}}', "name b"),
    "a.toml": ("x = 1\n[tool.ruff]\nline = 1\n[[a.b]]\n", "x tool.ruff a.b"),
    "a.html": ('<div id="q"><p id="r"></p></div>', "q r"),
    "a.css": (".a { color: red }\n@keyframes k {}\n", ".a k"),
    "a.md": ("# A\n```\n# no\n```\n## B ##\n# C\n", "A A.B C"),
}
BROKEN = {
    "a.py": "def f(:\n  x = 1\n",
    "a.js": "function f( { return 1\n",
    "a.ts": "const x: = 3",
    "a.go": "package m\nfunc f() {\n",
    "a.rs": "fn f() { let x = ; }",
    "A.java": "class A { int f( { }",
    "a.c": "int main( { return 0; }",
    "a.json": '{"a": 1,,}',
    "a.toml": "a = = 1\n",
    "a.css": ".a { color: }}",
    "a.rb": "def f(\n",
    "a.php": "<?php function { }",
    "a.lua": "function f( end",
    "a.sh": "if true; then\n",
}


def named(path: str, text: str) -> str:
    return " ".join(f"{s.container}.{s.name}" if s.container else s.name for s in symbols(path, text))


@pytest.mark.parametrize("path", DEFINED)
def test_what_a_file_defines_is_found(path: str) -> None:
    text, expected = DEFINED[path]
    assert named(path, text) == expected
    assert errors(path, text) == []
    lines = text.count("\n") + 1
    assert all(1 <= one.line <= one.end_line <= lines and one.path == path for one in symbols(path, text))


def test_kinds_and_lines_are_told() -> None:
    text = "class A:\n    def f(self):\n        return 1\n\n\nLIMIT = 1\nname = 2\nname = 3\n"
    told = [(one.name, one.kind, one.line, one.end_line) for one in symbols("a.py", text)]
    assert told == [
        ("A", "class", 1, 3),
        ("f", "method", 2, 3),
        ("LIMIT", "constant", 6, 6),
        ("name", "variable", 7, 7),
    ]


@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
def test_every_line_end_counts(eol: str) -> None:
    text = eol.join(["# one", "", "def f():", "    return 1", "def g(:", "    pass", ""])
    assert [(one.line, one.end_line) for one in symbols("a.py", text)][:1] == [(3, 4)]
    assert errors("a.py", text)[0].line == 5
    sections = eol.join(["# One", "", "## Two", "text", "# Three", ""])
    assert [(one.line, one.end_line) for one in symbols("a.md", sections)] == [(1, 4), (3, 4), (5, 5)]


def test_what_stands_beside_broken_syntax_is_found() -> None:
    assert "g" in named("a.py", "def f(:\n    pass\n\ndef g():\n    return 1\n").split()


def test_names_in_comments_and_strings_are_no_references() -> None:
    text = '# comment\ndef f(value):\n    """doc"""\n    return helper(value, f"text {inner}", "quoted")\n'
    assert references("a.py", text) == ["value", "helper", "value", "inner"]
    assert references("a.json", '{"name": 1}') == []


@pytest.mark.parametrize("path", BROKEN)
def test_broken_syntax_is_told(path: str) -> None:
    found = errors(path, BROKEN[path])
    assert found
    assert all(one.path == path and one.message.startswith("Syntax error") for one in found)
    assert all(one.line >= 1 and one.column >= 1 and one.severity == "error" for one in found)


def test_a_missing_token_is_named_with_its_place() -> None:
    (found,) = errors("a.js", "let é = 1;\nlet s = f('äö', [1, 2);\n")
    assert (found.line, found.message) == (2, "Syntax error: `]` is missing here.")
    assert found.column == len("let s = f('äö', [1, 2") + 1


def test_errors_are_bounded() -> None:
    assert len(errors("a.json", "{,}\n" * 5_000)) == MAX_ERRORS


def test_symbols_are_bounded() -> None:
    assert len(symbols("a.js", "function f() {}\n" * 5_000)) == MAX_SYMBOLS


@pytest.mark.parametrize("path", ["a", "a.unknown", "a.yaml", "py", ".py.bak", "a.", ""])
def test_an_unknown_language_has_nothing(path: str) -> None:
    assert symbols(path, "def f(:") == []
    assert references(path, "def f(:") == []
    assert errors(path, "def f(:") == []


def test_what_is_too_large_or_too_deep_has_nothing() -> None:
    for text in ("x = 1\n" * (MAX_BYTES // 6 + 1), "x = 1\n" * 900_000, "(" * 100_000, "[" * 1_000 + "]" * 1_000):
        assert errors("a.py", text) == []
        assert symbols("a.py", text) == []
    assert errors("a.html", "<p>" * 5_000) == []
    assert symbols("a.py", "x = " + "(" * 400 + "1" + ")" * 400)[0].name == "x"


def test_bytes_that_are_no_text_are_read() -> None:
    noise = random.Random(1).randbytes(20_000).decode(errors="replace")
    half = "def f():\n    return '\ud800'\n"
    for path in DEFINED:
        assert len(errors(path, noise)) <= MAX_ERRORS
        assert isinstance(symbols(path, "\0" + noise[:2_000]), list)
    assert named("a.py", half) == "f"
    assert references("a.py", "\ufeffdef f(): return other\n") == ["other"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(DEFINED)),
    st.lists(st.text(max_size=30) | st.sampled_from("(){}[]:;\n\"'`<>=#/* "), max_size=60),
)
def test_any_text_gives_lists(path: str, pieces: list[str]) -> None:
    text = "".join(pieces)
    reading = read(path, text)
    assert reading.symbols == symbols(path, text)
    assert reading.references == references(path, text)
    assert len(errors(path, text)) <= MAX_ERRORS


def test_grammars_are_loaded_one_by_one() -> None:
    code = (
        "import sys; from agentic.syntax.symbols import symbols; "
        "before = [name for name in sys.modules if name.startswith('tree_sitter')]; symbols('a.go', 'package m'); "
        "print(before, sorted(n for n in sys.modules if n.startswith('tree_sitter_') and '.' not in n))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[] ['tree_sitter_go']"


def test_every_language_has_its_grammar() -> None:
    known = {languages.language_of(path) for path in DEFINED} - {languages.MARKDOWN}
    assert len(known) == 18
    assert all(languages.grammar(language) for language in known)


def test_a_process_of_its_own_says_the_same() -> None:
    files = [
        *BROKEN.items(),
        ("a.unknown", "x"),
        *((path, text) for path, (text, _) in DEFINED.items()),
        ("a.js", "\ud800("),
    ]
    told = errors_apart(files)
    assert [None if one is None else len(one) for one in told][len(BROKEN)] is None
    for (path, text), found in zip(files, told, strict=True):
        assert found == (errors(path, text) if languages.grammar(languages.language_of(path)) else None)
    assert errors_apart([]) == []


def test_a_text_that_keeps_the_parser_is_given_up() -> None:
    """What comes before it is told."""
    files = [("a.py", "def f(:\n"), ("b.py", "/*\n" * 20_000), ("c.py", "x = 1\n")]
    first, endless, after = errors_apart(files, seconds=1.5)
    assert first
    assert endless is None
    assert after is None
