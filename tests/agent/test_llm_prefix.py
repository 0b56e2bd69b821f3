"""What a server's prefix cache must hold, beside a cache of token blocks that is kept in full."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.llm.prefix import PrefixMap, PromptChain, PromptChains

SYSTEM = {"role": "system", "content": "You are an agent."}
TOOLS = [{"type": "function", "function": {"name": "read_file"}}]
HERE = ("s", "main")


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def counts(messages: list[dict[str, str]]) -> list[int]:
    """The test's own count: a message has as many tokens as its text has characters, the tool five."""
    return [*(len(message["content"]) for message in messages), 5]


def chain(messages: list[dict[str, str]], chains: PromptChains | None = None) -> PromptChain:
    return (chains or PromptChains()).of(HERE, messages, TOOLS, counts(messages))


class Blocks:
    """vLLM's rule, word for word: the hash of a whole block is that of all tokens up to its end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: set[tuple[str, ...]] = set()

    def hit(self, messages: list[dict[str, str]]) -> int:
        tokens = self._tokens(messages)
        blocks = range(self._size, len(tokens), self._size)
        return max((end for end in blocks if tokens[:end] in self._held), default=0)

    def compute(self, messages: list[dict[str, str]]) -> None:
        tokens = self._tokens(messages)
        self._held.update(tokens[:end] for end in range(self._size, len(tokens) + 1, self._size))

    @staticmethod
    def _tokens(messages: list[dict[str, str]]) -> tuple[str, ...]:
        head = tuple(f"tool {number}" for number in range(5))
        return head + tuple(f"{message} {number}" for message in messages for number in range(len(message["content"])))


texts = st.integers(1, 40).flatmap(lambda length: st.sampled_from("abc").map(lambda letter: letter * length))
answered = st.lists(st.tuples(texts, texts), min_size=1, max_size=6)


@settings(deadline=None)
@given(st.lists(answered, min_size=1, max_size=6), st.sampled_from([1, 4, 16]))
def test_it_holds_what_a_cache_of_blocks_would(conversations: list[list[tuple[str, str]]], block_size: int) -> None:
    cache, blocks, chains = PrefixMap(block_size), Blocks(block_size), PromptChains(2)
    answers: dict[str, str] = {}
    for number, turns in enumerate(conversations):
        messages = [SYSTEM]
        for task, drawn in turns:
            messages.append(said("user", task))
            prompt = chains.of(("s", str(number)), messages, TOOLS, counts(messages))
            assert cache.expected(prompt) == blocks.hit(messages)
            answer = answers.setdefault(str(messages), drawn)
            cache.remember(prompt, len(answer))
            messages.append(said("assistant", answer))
            blocks.compute(messages)


@given(st.lists(st.lists(texts, min_size=1, max_size=8), min_size=1, max_size=8))
def test_a_chain_that_was_gone_on_with_is_the_one_made_anew(prompts: list[list[str]]) -> None:
    known = {text: said("user", text) for texts in prompts for text in texts}
    chains = PromptChains()
    for texts in prompts:
        messages = [SYSTEM, *(known[text] for text in texts)]
        assert chain(messages, chains) == chain(messages)


def test_nothing_is_expected_of_a_server_that_was_asked_nothing_or_started_anew() -> None:
    cache, prompt = PrefixMap(), chain([SYSTEM, said("user", "x" * 100)])
    assert cache.expected(prompt) == 0
    cache.remember(prompt)
    assert cache.expected(prompt) > 0
    cache.forget()
    assert cache.expected(prompt) == 0


def test_another_conversation_shares_system_text_and_tools() -> None:
    cache = PrefixMap()
    cache.remember(chain([SYSTEM, said("user", "x" * 100)]), 50)
    assert cache.expected(chain([SYSTEM, said("user", "y" * 100)])) == 16
    assert cache.expected(chain([said("system", "Another agent."), said("user", "x" * 100)])) == 0


def test_one_changed_byte_loses_all_that_follows() -> None:
    first, second = said("user", "a" * 64), said("assistant", "b" * 64)
    cache = PrefixMap(1)
    cache.remember(chain([SYSTEM, first, second]))
    head = 5 + len(SYSTEM["content"])
    assert cache.expected(chain([SYSTEM, first, second, said("user", "c")])) == head + 128
    assert cache.expected(chain([SYSTEM, said("user", "a" * 63 + "A"), second, said("user", "c")])) == head


def test_tools_in_another_order_share_nothing() -> None:
    more = [*TOOLS, {"type": "function", "function": {"name": "edit_file"}}]
    messages, cache, chains = [SYSTEM, said("user", "x" * 100)], PrefixMap(), PromptChains()
    cache.remember(chains.of(HERE, messages, more))
    assert cache.expected(chains.of(HERE, messages, list(more))) > 0
    assert cache.expected(chains.of(HERE, messages, more[::-1])) == 0


def test_lengths_are_scaled_to_the_prompt_that_the_server_counted() -> None:
    cache, messages = PrefixMap(), [SYSTEM, said("user", "x" * 578)]
    cache.remember(chain(messages))
    prompt = chain([*messages, said("user", "y" * 600)])
    assert prompt.tokens == 1200
    assert (cache.expected(prompt), cache.expected(prompt, 2400)) == (592, 1200)


def test_an_answer_counts_as_long_as_the_server_said_it_was() -> None:
    cache, messages = PrefixMap(1), [SYSTEM, said("user", "x" * 78)]
    cache.remember(chain(messages), 60)
    prompt = chain([*messages, said("assistant", "y" * 50), said("user", "z" * 50)])
    assert (cache.expected(prompt), cache.expected(prompt, 400)) == (150, 260)


def test_lengths_in_bytes_stand_for_counts_that_are_not_given() -> None:
    messages = [SYSTEM, said("user", "x" * 4000)]
    prompt = PromptChains().of(HERE, messages, TOOLS)
    assert 1000 <= prompt.tokens <= 1100


def test_half_a_character_has_a_link_too() -> None:
    assert len(chain([SYSTEM, said("user", "x\ud83d")]).links) == 3


def test_the_links_that_were_used_last_are_kept() -> None:
    cache = PrefixMap(1, capacity=4)
    first, second = ([SYSTEM, said("user", letter * 30)] for letter in "ab")
    cache.remember(chain(first))
    cache.remember(chain(second))
    assert cache.expected(chain([*first, said("user", "c")])) == 5 + 17 + 30
    cache.remember(chain(second))
    cache.remember(chain([SYSTEM, said("user", "d" * 30)]))
    assert cache.expected(chain([*second, said("user", "c")])) == 5 + 17 + 30
    assert cache.expected(chain([*first, said("user", "c")])) == 5 + 17


def test_a_growing_prompt_keeps_its_links() -> None:
    chains, messages, prompts = PromptChains(), [SYSTEM], []
    for number in range(50):
        messages.append(said("user", f"{number}"))
        prompts.append(chain(messages, chains))
    for earlier, later in pairwise(prompts):
        assert later.links[: len(earlier.links)] == earlier.links
