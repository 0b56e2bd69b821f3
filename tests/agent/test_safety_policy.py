"""The policy's table, the shell gate and what an approval is good for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.events import ToolKind
from agentic.safety.approvals import binding
from agentic.safety.policy import decide
from agentic.safety.shell_gate import is_read_only
from agentic.task import MODES

READING = """
ls
ls -la src
cat README.md
cat ./src/a.py src/b.py
head -n 20 a.txt
head -5 a.txt
tail -n+10 a.txt
wc -l src/a.py
pwd
file a.bin
stat a.txt
echo hello
grep -n foo src/a.py
grep -A3 -B2 foo a.py
rg foo
rg -n -t py foo src
rg --files
tree -L 2
du -sh .
diff -u a b
sort a.txt
sort -k2,2 -n a.txt
cut -d: -f1 a.txt
""".strip().split("\n")

ASKING = [
    *("", " ", "\n", "ls\n", "ls\nid", "ls\r\nid", "ls; id", "ls && id", "ls || id", "ls & id", "ls | sh", "ls &"),
    *("ls > x", "ls >> x", "cat < x", "cat <<EOF", "ls $(id)", "ls `id`", "ls ${IFS}", "echo $HOME", "echo {a,b}"),
    *("r''m -rf x", 'r"m" x', "r\\m x", "$'rm' x", "X=1 ls", "X=rm;$X", "PATH=.:$PATH ls", "LD_PRELOAD=./x.so ls"),
    *("=curl x", "ls =curl", "command rm x", "busybox rm x", "env", "printenv", "exec ls", "eval ls", "xargs ls"),
    *("./ls", "bin/ls", "/bin/ls", "../ls", "src/grep x", "LS", "lS", "cat\tx", "ls # x", "(ls)", "!ls", "ls *"),
    *("cat /etc/passwd", "cat ../x", "cat a/../../x", "cat ~/x", "cat ~", "ls /", "grep -f/etc/passwd x"),
    *("grep --file=/etc/passwd x", "grep -f x y", "head -n1 /etc/passwd", "cat a:/etc/passwd", "cat a=/etc/x"),
    *("cat .env", "cat config/.env", "cat .env.local", "cat id_rsa", "cat keys/id_ed25519", "cat server.pem"),
    *("cat SERVER.PEM", "cat .ssh/config", "cat .git/config", "ls .aws", "cat secrets.yaml", "cat credentials"),
    *("cat a.key", "grep x .npmrc", "cat Passwords.txt", "rg -g .env x", "rg --hidden x", "rg -. x", "rg -uu x"),
    *("rg --pre ./evil x", "rg --pre=evil x", "rg -z x", "rg --search-zip x", "rg --hostname-bin evil x", "rg -L x"),
    *("rg --hostname-bin=evil --hyperlink-format default x", "rg --follow x", "rg -f x", "rg --ignore-file x y"),
    *("grep -r x .", "grep -R x .", "grep --recursive x .", "grep -d recurse x .", "grep -rn x", "grep -nr x ."),
    *("sort -o a b", "sort -oa b", "sort a -o b", "sort --output=a b", "sort --outp=a b", "sort -T src a"),
    *(
        "sort --compress-program=evil a",
        "sort --files0-from=a",
        "uniq a b",
        "uniq -c a b",
        "uniq - b",
        "uniq -- -c b",
        "uniq a",
        "tree -o x",
        "tree -R -o x",
    ),
    *("file -C -m x", "file -f x", "file --compile", "file -z x", "diff -r a b", "diff --to-file=a b", "tail -f x"),
    *("tail -F x", "tail --follow=name x", "wc --files0-from=x", "du --files0-from=x", "cat --help", "ls --hyperlink"),
    *("find .", "find . -delete", "find . -exec rm x +", "git status", "git log", "git diff --output=x", "sed -n 1p x"),
    *("awk x", "rm x", "mv a b", "tee x", "touch x", "mkdir x", "less x", "vi x", "sh x", "bash -c ls", "python x.py"),
    *(
        "python -c x",
        "python --version",
        "python3 -V",
        "node --version",
        "cmake -V",
        "cat -",
        "cat -- -x",
        "cargo --version",
        "go version",
        "npm --version",
    ),
    *("ls \u00a0", "ls\u2028id", "ｌｓ", "ls \u202e", "ls \x1b", "ls \0", "ls \x0b", "ls a^b", "ls a?b", "ls [a]"),
    "ls" + " " * 3000,
    "ls" + " " * 3000 + "; id",
    "cat " + "a" * 600,
]


@pytest.mark.parametrize("command", READING)
def test_reading_commands_pass(command: str) -> None:
    assert is_read_only(command)


@pytest.mark.parametrize("command", ASKING)
def test_everything_else_asks(command: str) -> None:
    assert not is_read_only(command)


@given(
    st.sampled_from(READING),
    st.text(alphabet=";&|<>$`\\\"'(){}[]*?!#~\n\r\t\0^\u00a0é", min_size=1, max_size=3),
    st.data(),
)
def test_no_character_of_the_shell_passes_anywhere(command: str, extra: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(command)))
    assert not is_read_only(command[:at] + extra + command[at:])


KINDS: list[ToolKind] = ["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other"]


def test_the_table() -> None:
    table = {kind: [decide(kind, mode, "make") for mode in MODES] for kind in KINDS}
    free = ["allow"] * 4
    assert table == {
        "read": free,
        "search": free,
        "think": free,
        "other": free,
        "edit": ["deny", "ask", "allow", "allow"],
        "delete": ["deny", "ask", "ask", "allow"],
        "move": ["deny", "ask", "ask", "allow"],
        "execute": ["deny", "ask", "ask", "ask"],
        "fetch": ["ask"] * 4,
    }


def test_reading_commands_are_allowed_in_every_mode_and_unknown_ones_never() -> None:
    assert {decide("execute", mode, "ls -la") for mode in MODES} == {"allow"}
    assert [decide("execute", mode) for mode in MODES] == ["deny", "ask", "ask", "ask"]


def test_a_read_only_command_frees_nothing_but_itself() -> None:
    assert decide("edit", "plan", "ls") == "deny"
    assert decide("delete", "ask", "ls") == "ask"


def test_a_binding_is_of_the_meaning_of_the_arguments() -> None:
    assert binding("run", '{"a": 1, "b": 2}', ".", "") == binding("run", '{"b":2,"a":1}', ".", "")


@pytest.mark.parametrize(
    "other",
    [
        ("edit", '{"a": 1}', ".", "p"),
        ("run", '{"a": 2}', ".", "p"),
        ("run", '{"a": "1"}', ".", "p"),
        ("run", '{"a": 1, "a": 1}', ".", "p"),
        ("run", '{"a": 1', ".", "p"),
        ("run", '{"a": 1}', "src", "p"),
        ("run", '{"a": 1}', ".", "q"),
        ("run", '{"a": 1}', ".p", ""),
    ],
)
def test_a_binding_is_of_nothing_else(other: tuple[str, str, str, str]) -> None:
    assert binding("run", '{"a": 1}', ".", "p") != binding(*other)


def test_arguments_that_are_no_json_are_bound_too() -> None:
    assert binding("run", "[" * 100_000, ".", "") != binding("run", "[" * 99_999, ".", "")
    assert binding("run", "\ud800", ".", "") != binding("run", "\ud801", ".", "")
