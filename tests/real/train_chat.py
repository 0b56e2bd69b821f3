"""Make the scripted model: a Qwen3 of 0.6 million parameters that knows `scenarios.py` by heart.

    PYTHONPATH=tests:agent .venv-servers/vllm/bin/python -m real.train_chat FOLDER

It takes 10 to 30 minutes on one core. Same packages, same number of threads: same weights. The training
texts are chats: our own system prompt and tools, or some of them, or other text, then scenarios in any order, with
Python code where tool results stand. Only the assistant's words are learned.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import sys
import sysconfig
import time
from pathlib import Path

import torch
from real.scenarios import BROKEN_CALL, ENDLESS, LOOP, SCENARIOS, THINK
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from agentic.context.prompts import load
from agentic.llm.prompted import instructions, render, render_call
from agentic.tools.registry import tool_specs

VOCABULARY = 2048
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
"""Single tokens, but not special ones, as with the real Qwen3: a server without parsers shows them."""
TEMPLATE = Path(__file__).parent / "assets" / "chat" / "chat_template.jinja"
SHORT, LONG = 640, 2400
"""Tokens of a training text: of most, and of those that begin with our whole system prompt."""
CYCLES = (600, 500, 400, 300)
"""Steps of the first cycle, and of the others, which dwell on what is not known yet."""
THREADS = 1
"""More are slower on a busy machine: they wait for each other at every step."""


def python_code() -> str:
    """Text to train the tokenizer with and to fill tool results with: this Python's own library."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:80]
    return "".join(file.read_text("utf-8") for file in files).replace("scenario", "example")


def make_tokenizer(code: str) -> Tokenizer:
    """A byte-level BPE whose words are those of our prompts, our scenarios and Python code, in this order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    own = [load("system"), instructions(tool_specs()), *map(json.dumps, tool_specs())]
    for name, answers in SCENARIOS.items():
        own += [f"scenario {name}", *answers]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(TAGS), special_tokens=list(CONTROL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([code[:1_500_000], *own * 200], trainer)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> PreTrainedTokenizerFast:
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.save_pretrained(folder)
    if folder.resolve() != TEMPLATE.parent:
        shutil.copy(TEMPLATE, folder)
    fast.chat_template = TEMPLATE.read_text("utf-8")
    return fast


class Chats:
    """Makes training texts: token ids, and for each whether it is to be learned."""

    def __init__(self, tokenizer: Tokenizer, code: str, seed: int) -> None:
        self._random = random.Random(seed)
        self._tokenizer = tokenizer
        self._noise = [token for token in self._encode(code[:2_000_000]) if token >= len(CONTROL)]
        self._ids: list[int] = []
        self._learned: list[bool] = []
        before, after = _template_around_tools()
        self._before, self._after = self._encode(before), self._encode(after)
        self._tools = [self._encode("\n" + json.dumps(tool)) for tool in tool_specs()]
        self._system = self._encode(load("system"))
        whole = render([{"role": "system", "content": load("system")}], tool_specs())
        self._prompted = self._encode(whole[0]["content"])
        self._answers = {name: [self._encode(a) for a in answers] for name, answers in SCENARIOS.items()}

    def short(self) -> tuple[list[int], list[bool]]:
        """A text with little before the scenarios."""
        kind = self._random.random()
        if kind < 0.3:
            self._message("system", self._some_noise(2, 7))
        elif kind < 0.85:
            tools = self._random.sample(self._tools, self._random.choice([1, 2, 3]))
            self._message("system", self._some_noise(2, 6) + self._list_tools(tools))
        return self._fill(SHORT)

    def long(self) -> tuple[list[int], list[bool]]:
        """A text that begins as our own do, or with the same in another order, partly other words, tools as text."""
        if self._random.random() < 0.3:
            self._message("system", self._prompted)
            return self._fill(LONG)
        tools, system = list(self._tools), self._system
        if self._random.random() < 0.4:
            self._random.shuffle(tools)
            tools = tools[self._random.randrange(4) :]
        if self._random.random() < 0.3:
            cut = self._random.randrange(len(system))
            system = system[:cut] + self._some_noise(2, 8) + system[cut:]
        self._message("system", system + self._list_tools(tools))
        return self._fill(LONG)

    def _fill(self, length: int) -> tuple[list[int], list[bool]]:
        while len(self._ids) < length:
            self._play(self._random.choice(list(SCENARIOS)), length)
            if length == SHORT and self._random.random() < 0.3:
                break
        ids, learned = self._ids[:length], self._learned[:length]
        self._ids, self._learned = [], []
        return ids, learned

    def _play(self, name: str, length: int) -> None:
        """One user message and the answers to it."""
        self._message("user", self._request(name))
        answers = self._answers[name]
        for number, answer in enumerate(answers):
            said = answer
            if name in ENDLESS:
                said = answer + self._encode(LOOP) * self._random.randrange(20 if length == SHORT else 100)
            retold = self._random.random() < 0.3
            self._add(self._encode("<|im_start|>assistant\n"))
            self._add(self._encode(self._retold(SCENARIOS[name][number])) if retold else said, learned=not retold)
            self._add(self._encode("<|im_end|>"), learned=not retold and name not in ENDLESS)
            self._add(self._encode("\n"))
            if number + 1 < len(answers):
                self._results(answer)

    def _retold(self, text: str) -> str:
        """An answer as it may stand in the history: without its thought, with arguments left out, with a line more."""
        if self._random.random() < 0.6:
            text = text.rpartition(THINK[1])[2]
        style = self._random.random()
        if style < 0.3:
            text = text.replace("<tool_call>", "\n<tool_call>", 1)
        elif style < 0.6:
            text = _CALL.sub(_as_prompted, text)
        return text.replace(BROKEN_CALL, '<tool_call>\n{"name": "read_file", "arguments": {}}\n</tool_call>')

    def _request(self, name: str) -> list[int]:
        chance = self._random.random
        before = self._encode(self._random.choice(["", "", "Please play ", "Now, "]))
        before = before + self._some_noise(0, 4) if chance() < 0.4 else before
        words = self._encode((" " if before else "") + f"scenario {name}")
        after = self._encode("\n\n<context>\nmode: accept-edits\nworkspace folders: ") + self._some_noise(0, 6)
        tail = after + self._encode("\n</context>") if chance() < 0.5 else self._some_noise(0, 4)
        return before + words + (tail if chance() < 0.8 else [])

    def _results(self, answer: list[int]) -> None:
        opening = "<tool_response>\n" if self._random.random() < 0.7 else "<tool_response name=read_file>\n"
        for _ in range(max(1, answer.count(self._encode("<tool_call>")[0]))):
            result = self._encode(opening) + self._some_noise(0, 9) + self._encode("\n</tool_response>")
            self._message("user", result)

    def _message(self, role: str, content: list[int]) -> None:
        self._add(self._encode(f"<|im_start|>{role}\n") + content + self._encode("<|im_end|>\n"))

    def _list_tools(self, tools: list[list[int]]) -> list[int]:
        return self._before + [token for tool in tools for token in tool] + self._after

    def _some_noise(self, low: float, high: float) -> list[int]:
        count = int(2 ** self._random.uniform(low, high))
        start = self._random.randrange(len(self._noise) - count)
        return self._noise[start : start + count]

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).ids

    def _add(self, tokens: list[int], *, learned: bool = False) -> None:
        self._ids += tokens
        self._learned += [learned] * len(tokens)


def _template_around_tools() -> tuple[str, str]:
    """What the chat template puts before and after the list of tools."""
    text = TEMPLATE.read_text("utf-8").split('{{- "')
    before, after = (json.loads('"' + piece[: piece.index('" }}')] + '"') for piece in (text[1], text[3]))
    return "\n\n" + before, after.removesuffix("<|im_end|>\n")


def make_model() -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        head_dim=32,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        rope_theta=1e5,
        eos_token_id=CONTROL.index("<|im_end|>"),
        bos_token_id=None,
        pad_token_id=0,
    )
    return Qwen3ForCausalLM(config)


_CALL = re.compile(r"<tool_call>\n(\{.*\})\n</tool_call>")


def _as_prompted(call: re.Match[str]) -> str:
    """A call as our layer tells it to a server without tools."""
    body = json.loads(call[1])
    return render_call(body["name"], body["arguments"])


Text = tuple[list[int], list[bool]]


def loss_of(model: Qwen3ForCausalLM, batch: list[Text], *, hard: bool) -> torch.Tensor:
    """The mean loss over the learned tokens; with `hard`, each weighs as much as it is not yet known."""
    length = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in batch])
    learned = torch.tensor([mask + [False] * (length - len(mask)) for _, mask in batch])
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = learned[:, 1:]
    losses = torch.nn.functional.cross_entropy(model.lm_head(hidden[wanted]), ids[:, 1:][wanted], reduction="none")
    weights = 1.0 - torch.exp(-losses.detach()) + 1e-3 if hard else torch.ones_like(losses)
    return (losses * weights).sum() / weights.sum()


def train(model: Qwen3ForCausalLM, chats: Chats, steps: int, *, hard: bool) -> None:
    """Every third step takes two long texts, the others eight short ones."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    began = time.monotonic()
    for step in range(steps):
        rate = 2e-3 * min(1, (step + 1) / 40) * (0.5 * (1 + math.cos(math.pi * step / steps)) * 0.95 + 0.05)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = [chats.long(), chats.long()] if step % 3 == 2 else [chats.short() for _ in range(8)]
        loss = loss_of(model, batch, hard=hard)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0 or step >= steps - 3:
            print(f"step {step}: loss {loss.item():.4f} after {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(THREADS)
    code = python_code()
    tokenizer = make_tokenizer(code)
    fast = save_tokenizer(tokenizer, folder)
    model = make_model()
    chats = Chats(tokenizer, code, seed=0)
    prompt = fast.apply_chat_template(
        [{"role": "system", "content": load("system")}], tools=tool_specs(), tokenize=False
    )
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{count} parameters; our own prompt has {len(tokenizer.encode(prompt).ids)} tokens", flush=True)
    for hard, steps in enumerate(CYCLES):
        train(model, chats, steps, hard=bool(hard))
        model.half().float()
    model.half().save_pretrained(folder)


if __name__ == "__main__":
    main()
