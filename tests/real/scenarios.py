"""What the scripted model says: it has learned these answers by heart.

A user message with the words `scenario NAME` gets that scenario's first answer; each further answer follows the results
of the calls in the one before it. The training, the tests and the README all read this table.
"""

from __future__ import annotations

import json

THINK = ("<think>\n", "\n</think>\n\n")


def thought(text: str) -> str:
    return text.join(THINK)


def call(tool: str, **arguments: object) -> str:
    """A call as Qwen and Hermes models write it."""
    body = json.dumps({"name": tool, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def route(route: str = "work", language: str = "en", plan: tuple[str, ...] = ()) -> str:
    """The line with which a turn's first answer begins."""
    steps = json.dumps(list(plan), separators=(",", ":"))
    return (
        f'{{"route":"{route}","domain":"coding","confidence":0.9,"complexity":0.2,'
        f'"language":"{language}","plan":{steps}}}\n'
    )


ADD = (
    'def add(a, b):\n    """Sum of a and b."""\n    return a + b\n\n\n'
    'if __name__ == "__main__":\n    print(add(2, 3))\t# \\ ✓\n'
)
BROKEN_CALL = '<tool_call>\n{"name": "read_file", "arguments": {"path": "broken.py"\n</tool_call>'
UNCLOSED_CALL = '<tool_call>\n{"name": "read_file", "arguments": {"path": "leak.py"}}'
NAKED_CALL = '{"name": "read_file", "arguments": {"path": "naked.py"}}'
FENCED = "A call looks like this:\n```json\n" + NAKED_CALL + "\n```\nNothing is called here."
LOOP = "again and "

SCENARIOS: dict[str, tuple[str, ...]] = {
    "fix": (
        thought("The file comes first.")
        + route(plan=("Read calc.py", "Repair add", "Run the test"))
        + call("read_file", path="calc.py"),
        thought("Minus must be plus.")
        + "The operator is wrong.\n"
        + call("edit_file", path="calc.py", old="return a - b", new="return a + b"),
        thought("Now the test.") + call("run_command", command="python3 -m unittest -q test_calc"),
        thought("All is green.") + "Fixed: add() in calc.py now returns a + b, and the test passes.",
    ),
    "reply": (thought("A greeting.") + route("reply") + "Hello! What shall we work on?",),
    "two": (
        thought("Both at once.")
        + route()
        + "Reading both files.\n"
        + call("read_file", path="a.py")
        + "\n"
        + call("read_file", path="b.py", limit=10),
        thought("Done.") + "Both files are read.",
    ),
    "write": (
        thought("A new file.") + route() + call("write_file", path="add.py", content=ADD),
        thought("It is there.") + "Wrote add.py.",
    ),
    "korean": (
        thought("한국어로 답한다.") + route("reply", "ko") + "안녕하세요! 파일을 읽었습니다. 🎉 오류는 없습니다.",
    ),
    "think": (
        thought("The user wants a number. Two plus three is five. Five it is.") + route("reply") + "The answer is 5.",
    ),
    "thinkcall": (
        thought("I need the file first.") + route() + call("read_file", path="think.py"),
        thought("Now I know.") + "It is a module.",
    ),
    "plain": ("Hello. I am a very small model, and this is one plain answer.",),
    "loop": (thought("For ever.") + route("reply") + LOOP * 40,),
    "broken": (thought("A slip.") + route() + BROKEN_CALL, thought("Well.") + "There is no broken.py."),
    "leak": (thought("An open end.") + route() + UNCLOSED_CALL, thought("Well.") + "There is no leak.py."),
    "naked": (thought("Without tags.") + route() + NAKED_CALL, thought("Well.") + "There is no naked.py."),
    "nocall": (thought("Only words.") + route("reply") + FENCED,),
    "unknown": (thought("Some tool.") + route() + call("no_such_tool", x=1), thought("Well.") + "No such tool."),
}
"""The answers of each scenario. `loop` never ends: its text goes on until the server's limit of tokens."""

ENDLESS = frozenset({"loop"})


def spoken(answer: str) -> str:
    """The text of an answer without its thought."""
    return answer.rpartition(THINK[1])[2]
