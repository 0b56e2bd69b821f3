"""Let the scripted model play every scenario, without a server, and compare.

PYTHONPATH=tests:agent .venv-servers/vllm/bin/python -m real.play FOLDER
"""

from __future__ import annotations

import json
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


def main() -> None:
    folder = Path(sys.argv[1])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    wrong = 0
    for own in (True, False):
        for name, answers in SCENARIOS.items():
            messages, tools = prompts(own, name)
            for number, answer in enumerate(answers):
                text = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
                ids = tokenizer(text, return_tensors="pt").input_ids
                limit = len(tokenizer(answer).input_ids) + (1 if name not in ENDLESS else 0)
                with torch.no_grad():
                    out = model.generate(ids, max_new_tokens=limit, do_sample=False, pad_token_id=0)
                said = tokenizer.decode(out[0, ids.shape[1] :])
                if said != answer + ("" if name in ENDLESS else "<|im_end|>"):
                    wrong += 1
                    print(f"{'own' if own else 'short'} {name} {number}: {json.dumps(said, ensure_ascii=False)[:400]}")
                messages.append({"role": "assistant", "content": spoken(answer)})
                messages.append({"role": "tool", "content": RESULT})
    print(f"{wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
