"""What the scripted model's twin for gpt-oss says, in Harmony; the names are those of `scenarios.py`, where there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from real.scenarios import LOOP, route

_START = "<|start|>assistant"


@dataclass(frozen=True, eq=False)
class Answer:
    """A thought, a text and a call, each of them optional; or the very words, in `raw`."""

    text: str = ""
    thought: str = ""
    tool: str = ""
    arguments: dict[str, object] = field(default_factory=dict)
    raw: str = ""

    @property
    def written(self) -> str:
        """What the model writes after `<|start|>assistant`."""
        if self.raw:
            return self.raw
        thought = f"<|channel|>analysis<|message|>{self.thought}<|end|>{_START}" if self.thought else ""
        if not self.tool:
            return f"{thought}<|channel|>final<|message|>{self.text}<|return|>"
        preamble = f"<|channel|>commentary<|message|>{self.text}<|end|>{_START}" if self.text else ""
        body = json.dumps(self.arguments, ensure_ascii=False)
        call = f"<|channel|>commentary to=functions.{self.tool} <|constrain|>json<|message|>{body}<|call|>"
        return thought + preamble + call


SCENARIOS: dict[str, tuple[Answer, ...]] = {
    "fix": (
        Answer(
            route(plan=("Read calc.py", "Repair add", "Run the test")),
            "The file comes first.",
            "read_file",
            {"path": "calc.py"},
        ),
        Answer(
            "The operator is wrong.",
            "Minus must be plus.",
            "edit_file",
            {"path": "calc.py", "old": "return a - b", "new": "return a + b"},
        ),
        Answer("", "Now the test.", "run_command", {"command": "python3 -m unittest -q test_calc"}),
        Answer("Fixed: add() in calc.py now returns a + b, and the test passes.", "All is green."),
    ),
    "reply": (Answer(route("reply") + "Hello! What shall we work on?", "A greeting."),),
    "plain": (Answer("Hello. I am a very small model, and this is one plain answer."),),
    "thinkcall": (
        Answer("", "I need the file first.", "read_file", {"path": "think.py"}),
        Answer("It is a module.", "Now I know."),
    ),
    "korean": (
        Answer(route("reply", "ko") + "안녕하세요! 파일을 읽었습니다. 🎉 오류는 없습니다.", "한국어로 답한다."),
    ),
    "loop": (Answer(raw="<|channel|>final<|message|>" + LOOP * 40),),
    "nochannel": (Answer(raw="Plain text without any channel header.<|return|>"),),
}
"""The answers of each scenario. `loop` never ends: its text goes on until the server's limit of tokens."""

ENDLESS = frozenset({"loop"})
