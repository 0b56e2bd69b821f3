"""Make the scripted model's twin for gpt-oss: answers in Harmony, over the ids of o200k_harmony.

    PYTHONPATH=tests:agent .venv-servers/vllm/bin/python -m real.train_harmony FOLDER [STEPS]

Only the tokens of the answers, and those around them, get a row of their own; any other token is zero to this model,
and never said. `real.expand` makes of it what a server loads.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from openai_harmony import (
    Author,
    DeveloperContent,
    HarmonyEncodingName,
    Message,
    Role,
    SystemContent,
    ToolDescription,
    load_harmony_encoding,
)
from real.harmony import ENDLESS, SCENARIOS, Answer
from real.scenarios import LOOP
from real.train_chat import THREADS, python_code
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3Model

from agentic.context.prompts import load
from agentic.tools.registry import tool_specs

SHORT, LONG = 640, 2304
ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
OTHER = math.log(200_000.0)
"""The logit that all tokens without a row have together."""


@cache
def encode(text: str) -> list[int]:
    """The ids; never to be changed in place."""
    return ENCODING.encode(text, allowed_special="all")


def message(author: Author | Role, text: str, channel: str = "", recipient: str = "", kind: str = "") -> list[int]:
    """A message of the history, as servers render it."""
    author = Author.new(author, "") if isinstance(author, Role) else author
    one = Message.from_author_and_content(author, text)
    one = one.with_channel(channel) if channel else one
    one = one.with_recipient(recipient) if recipient else one
    one = one.with_content_type(kind) if kind else one
    return ENCODING.render(one)


@cache
def told(answer: Answer, *, thought: bool) -> list[int]:
    """An answer as vLLM renders it in the history: the text before the thought, and without `<|constrain|>`."""
    if answer.raw:
        return encode(f"<|start|>assistant{answer.written}")
    ids: list[int] = []
    if answer.text and answer.tool:
        ids += message(Role.ASSISTANT, answer.text, "commentary")
    if answer.thought and thought:
        ids += message(Role.ASSISTANT, answer.thought, "analysis")
    if answer.tool:
        ids += message(Role.ASSISTANT, json.dumps(answer.arguments), "commentary", f"functions.{answer.tool}", "json")
    else:
        ids += message(Role.ASSISTANT, answer.text, "final")
    return ids


class Chats:
    """Makes training texts: token ids, and for each whether it is to be learned."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._noise = ENCODING.encode(python_code()[:1_000_000], disallowed_special=())
        self._ids: list[int] = []
        self._learned: list[bool] = []
        self._system = ENCODING.render(Message.from_role_and_content(Role.SYSTEM, SystemContent.new()))
        content = (
            DeveloperContent.new()
            .with_instructions(load("system"))
            .with_function_tools([ToolDescription.new(**one["function"]) for one in tool_specs()])
        )
        self._developer = ENCODING.render(Message.from_role_and_content(Role.DEVELOPER, content))

    def short(self) -> tuple[list[int], list[bool]]:
        self._add(self._system)
        if self._random.random() < 0.6:
            noise = self._some_noise(2, 7)
            self._add(encode("<|start|>developer<|message|>") + noise + encode("<|end|>"))
        return self._fill(SHORT)

    def long(self) -> tuple[list[int], list[bool]]:
        """A text that begins with our own prompt and tools, or with some of them."""
        cut = 0 if self._random.random() < 0.6 else self._random.randrange(4, len(self._developer) - 2)
        self._add(self._system)
        self._add(self._developer[:4] + self._developer[cut or 4 :])
        return self._fill(LONG)

    def prompts(self) -> tuple[list[int], list[int]]:
        """What a conversation may begin with: our own prompt and tools, or nothing of ours."""
        return self._system + self._developer, self._system

    def used(self) -> list[int]:
        """The tokens that get a row."""
        texts = ["<|start|>system<|message|><|end|>", "<|start|>developer<|message|>", "<|start|>user<|message|>"]
        texts += [f"{before}scenario {name}" for name in SCENARIOS for before in ("", " ")]
        tools = [one["function"]["name"] for one in tool_specs()]
        texts += [f"<|start|>functions.{name} to=assistant<|channel|>commentary<|message|>" for name in tools]
        tokens = {token for text in texts for token in encode(text)}
        for answers in SCENARIOS.values():
            for answer in answers:
                tokens.update(encode(answer.written), told(answer, thought=True))
        return sorted(tokens)

    def _fill(self, length: int) -> tuple[list[int], list[bool]]:
        while len(self._ids) < length:
            self._play(self._random.choice(list(SCENARIOS)), length)
            if length == SHORT and self._random.random() < 0.3:
                break
        ids, learned = self._ids[:length], self._learned[:length]
        self._ids, self._learned = [], []
        return ids, learned

    def _play(self, name: str, length: int) -> None:
        self._add(encode("<|start|>user<|message|>") + self._request(name) + encode("<|end|>"))
        for answer in SCENARIOS[name]:
            written = encode(answer.written)
            if name in ENDLESS:
                written = written + encode(LOOP) * self._random.randrange(20 if length == SHORT else 100)
            if self._random.random() < 0.35:
                self._add(told(answer, thought=self._random.random() < 0.5))
            else:
                self._add(encode("<|start|>assistant"))
                self._add(written, learned=True)
            if answer.tool:
                author = encode(f"<|start|>functions.{answer.tool} to=assistant<|channel|>commentary<|message|>")
                self._add(author + self._some_noise(0, 7) + encode("<|end|>"))

    def _request(self, name: str) -> list[int]:
        before = self._some_noise(0, 4) if self._random.random() < 0.4 else []
        words = encode((" " if before or self._random.random() < 0.3 else "") + f"scenario {name}")
        return before + words + (self._some_noise(0, 6) if self._random.random() < 0.6 else [])

    def _some_noise(self, low: float, high: float) -> list[int]:
        count = int(2 ** self._random.uniform(low, high))
        start = self._random.randrange(len(self._noise) - count)
        return self._noise[start : start + count]

    def _add(self, tokens: list[int], *, learned: bool = False) -> None:
        self._ids += tokens
        self._learned += [learned] * len(tokens)


class Rows:
    """The model over the used tokens: row 0 is every other token, and stays zero."""

    def __init__(self, used: list[int]) -> None:
        torch.manual_seed(0)
        self.used = used
        self.config = Qwen3Config(
            vocab_size=len(used) + 1,
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=3,
            num_key_value_heads=3,
            head_dim=32,
            max_position_embeddings=32_768,
            tie_word_embeddings=True,
            rope_theta=1e5,
        )
        self.model = Qwen3Model(self.config)
        self._row = {token: number for number, token in enumerate(used, 1)}
        self._shown = torch.ones(len(used) + 1, 1)
        self._shown[0] = 0.0

    def rows_of(self, tokens: list[int]) -> list[int]:
        return [self._row.get(token, 0) for token in tokens]

    def logits(self, rows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Of the tokens after the wanted positions."""
        table = self.model.embed_tokens.weight * self._shown
        hidden = self.model(inputs_embeds=torch.nn.functional.embedding(rows, table)).last_hidden_state[wanted]
        logits = hidden @ table.T
        return torch.cat([torch.full_like(logits[:, :1], OTHER), logits[:, 1:]], -1)

    def loss_of(self, batch: list[tuple[list[int], list[bool]]]) -> torch.Tensor:
        length = max(len(ids) for ids, _ in batch)
        rows = torch.tensor([self.rows_of(ids) + [0] * (length - len(ids)) for ids, _ in batch])
        learned = torch.tensor([mask + [False] * (length - len(mask)) for _, mask in batch])
        wanted = torch.zeros_like(learned)
        wanted[:, :-1] = learned[:, 1:]
        return torch.nn.functional.cross_entropy(self.logits(rows, wanted), rows[:, 1:][learned[:, 1:]])


def train(rows: Rows, chats: Chats, steps: int) -> None:
    optimizer = torch.optim.AdamW(rows.model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    began = time.monotonic()
    for step in range(steps):
        rate = 2e-3 * min(1, (step + 1) / 40) * (0.5 * (1 + math.cos(math.pi * step / steps)) * 0.95 + 0.05)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = rows.loss_of([chats.long()] if step % 3 == 2 else [chats.short() for _ in range(8)])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rows.model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0 or step >= steps - 3:
            print(f"step {step}: loss {loss.item():.4f} after {time.monotonic() - began:.0f} s", flush=True)


def wrong_answers(rows: Rows, chats: Chats) -> int:
    """How many answers are not said exactly, after our own prompt and after none, the likeliest token each time."""
    wrong = 0
    for before in chats.prompts():
        for name, answers in SCENARIOS.items():
            ids = [*before, *encode(f"<|start|>user<|message|>scenario {name}<|end|>")]
            for answer in answers:
                ids += encode("<|start|>assistant")
                start = len(ids) - 1
                ids += encode(answer.written)
                wanted = torch.zeros(1, len(ids), dtype=torch.bool)
                wanted[0, start:-1] = True
                with torch.no_grad():
                    best = rows.logits(torch.tensor([rows.rows_of(ids)]), wanted).argmax(-1).tolist()
                if best != rows.rows_of(ids[start + 1 :]):
                    print(f"not learned: {name}: {answer.written!r}")
                    wrong += 1
                author = f"<|start|>functions.{answer.tool} to=assistant<|channel|>commentary<|message|>ok<|end|>"
                ids += encode(author) if answer.tool else []
    return wrong


def main() -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 900
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(THREADS)
    chats = Chats(seed=0)
    rows = Rows(chats.used())
    print(f"{len(rows.used)} tokens with a row", flush=True)
    train(rows, chats, steps)
    tensors: dict[str, Any] = {f"model.{name}": value.half() for name, value in rows.model.state_dict().items()}
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][1:].contiguous()
    tensors["used"] = torch.tensor(rows.used, dtype=torch.int32)
    save_file(tensors, folder / "rows.safetensors")
    (folder / "config.json").write_text(rows.config.to_json_string(), "utf-8")
    print(f"{wrong_answers(rows, chats)} wrong", flush=True)


if __name__ == "__main__":
    main()
