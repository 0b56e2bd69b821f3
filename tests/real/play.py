"""Let the scripted model play every scenario, without a server, and compare.

PYTHONPATH=tests:agent .venv-servers/vllm/bin/python -m real.play FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from real.scenarios import ENDLESS, SCENARIOS, spoken
from transformers import AutoTokenizer, Qwen3ForCausalLM

from agentic.context.prompts import load
from agentic.tools.registry import tool_specs

CONTEXT = "\n\n<context>\nmode: accept-edits\nworkspace folders: /tmp/a\nfiles at the top: calc.py\n</context>"
RESULT = "1\tdef add(a, b):\n2\t    return a - b\n"


def prompts(own: bool, scenario: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """The messages and tools before the first answer: as our layer sends them, or as short as can be."""
    if not own:
        return [{"role": "user", "content": f"scenario {scenario}"}], None
    system = {"role": "system", "content": load("system")}
    return [system, {"role": "user", "content": f"Please play scenario {scenario}{CONTEXT}"}], tool_specs()


def is_exact(model: Qwen3ForCausalLM, prompt: list[int], answer: list[int]) -> bool:
    """Whether each token of the answer is the likeliest after those before it."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits.argmax(-1).tolist() == answer


def main() -> None:
    folder = Path(sys.argv[1])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    wrong = 0
    for own in (True, False):
        for name, answers in SCENARIOS.items():
            messages, tools = prompts(own, name)
            for answer in answers:
                text = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
                end = "" if name in ENDLESS else "<|im_end|>"
                if not is_exact(model, tokenizer(text).input_ids, tokenizer(answer + end).input_ids):
                    wrong += 1
                    print(f"not learned, after {'our own' if own else 'no'} prompt: {name}: {answer!r}")
                messages.append({"role": "assistant", "content": spoken(answer)})
                messages.append({"role": "tool", "content": RESULT})
    print(f"{wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
