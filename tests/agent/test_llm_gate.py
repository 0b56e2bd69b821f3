"""The gate before an endpoint: never more than its limit, fair, and whole whatever is cancelled."""

from __future__ import annotations

import asyncio
import random
from collections import deque

import pytest

from agentic.llm.gate import Gate, Slot


class Crowd:
    """Requests that hold their places until they are let go, the first to enter first."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.entered: list[str] = []
        self.slots: list[Slot] = []
        self._inside: deque[asyncio.Event] = deque()

    def come(self, conversation: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._visit(conversation))

    async def _visit(self, conversation: str) -> None:
        async with self.gate.slot(conversation) as slot:
            leave = asyncio.Event()
            self._inside.append(leave)
            self.entered.append(conversation)
            self.slots.append(slot)
            await leave.wait()

    async def let_one_go(self) -> None:
        self._inside.popleft().set()
        await settle()


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_are_let_in() -> None:
    crowd = Crowd(Gate(2))
    tasks = [crowd.come("a") for _ in range(5)]
    await settle()
    assert (crowd.gate.in_flight, crowd.gate.queued, len(crowd.entered)) == (2, 3, 2)
    assert crowd.gate.is_full
    for _ in range(5):
        await crowd.let_one_go()
    await asyncio.gather(*tasks)
    assert (crowd.gate.in_flight, crowd.gate.queued) == (0, 0)
    assert not crowd.gate.is_full


async def test_a_conversation_with_many_requests_does_not_starve_another() -> None:
    crowd = Crowd(Gate(1))
    tasks = [crowd.come(name) for name in ["first", *["many"] * 20, "one", "two", "two"]]
    await settle()
    for _ in tasks:
        await crowd.let_one_go()
    await asyncio.gather(*tasks)
    assert crowd.entered[:6] == ["first", "many", "one", "two", "many", "two"]
    assert crowd.entered.count("many") == 20


async def test_a_waiter_that_is_cancelled_leaves_no_hole() -> None:
    crowd = Crowd(Gate(1))
    tasks = [crowd.come(name) for name in ("first", "gone", "next")]
    await settle()
    tasks[1].cancel()
    await settle()
    assert crowd.gate.queued == 1
    await crowd.let_one_go()
    assert crowd.entered == ["first", "next"]
    await crowd.let_one_go()
    assert crowd.gate.in_flight == 0


async def test_a_waiter_that_is_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    crowd = Crowd(Gate(1))
    tasks = [crowd.come(name) for name in ("first", "gone", "next")]
    await settle()
    tasks[0].cancel()
    await asyncio.sleep(0)
    tasks[1].cancel()
    await settle()
    assert crowd.entered == ["first", "next"]
    assert (crowd.gate.in_flight, crowd.gate.queued) == (1, 0)
    await crowd.let_one_go()


async def test_a_place_that_is_not_free_in_time_is_not_waited_for_any_longer() -> None:
    gate = Gate(1)
    async with gate.slot("a"):
        with pytest.raises(TimeoutError):
            async with gate.slot("b", 0.01):
                raise AssertionError("there was no place")
        assert (gate.in_flight, gate.queued) == (1, 0)
    assert gate.in_flight == 0


async def test_a_busy_server_lowers_the_limit_by_a_third_once_for_all_that_were_under_way() -> None:
    crowd = Crowd(Gate(9))
    tasks = [crowd.come("a") for _ in range(9)]
    await settle()
    for slot in crowd.slots:
        slot.busy()
    assert crowd.gate.limit == 6
    for _ in tasks:
        await crowd.let_one_go()
    async with crowd.gate.slot("b") as slot:
        slot.busy()
        slot.busy()
    assert crowd.gate.limit == 4


async def test_answers_raise_the_limit_slowly_to_where_it_was_and_no_further() -> None:
    gate = Gate(6)
    async with gate.slot("a") as slot:
        slot.busy()
    assert gate.limit == 4
    limits: list[int] = []
    for _ in range(30):
        gate.grow()
        limits.append(gate.limit)
    assert limits == sorted(limits)
    assert limits[2] == 4
    assert limits[5] == 5
    assert limits[-1] == 6


async def test_the_limit_is_never_less_than_one() -> None:
    gate = Gate(2)
    for _ in range(20):
        async with gate.slot("a") as slot:
            slot.busy()
    assert gate.limit == 1


@pytest.mark.parametrize("seed", range(20))
async def test_the_gate_stays_whole_under_random_comings_and_cancellations(seed: int) -> None:
    dice = random.Random(seed)
    most = dice.randint(1, 5)
    gate, inside, highest, served = Gate(most), 0, 0, 0

    async def visit(name: str) -> None:
        nonlocal inside, highest, served
        async with gate.slot(name, 30) as slot:
            inside += 1
            highest = max(highest, inside)
            try:
                for _ in range(dice.randint(0, 4)):
                    await asyncio.sleep(0)
                if dice.random() < 0.1:
                    slot.busy()
                else:
                    gate.grow()
                served += 1
            finally:
                inside -= 1

    tasks: list[asyncio.Task[None]] = []
    for _ in range(300):
        tasks.append(asyncio.create_task(visit(f"c{dice.randint(0, 5)}")))
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
        if dice.random() < 0.5:
            await asyncio.sleep(0)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(one is None or isinstance(one, asyncio.CancelledError) for one in ended)
    assert served == ended.count(None) > 100
    assert highest <= most
    assert (gate.in_flight, gate.queued) == (0, 0)
    async with gate.slot("again", 1):
        assert gate.in_flight == 1
