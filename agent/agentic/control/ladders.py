"""What is done about each problem: prompts of rising strength, and in the end an honest word to the user."""

from __future__ import annotations

from dataclasses import dataclass

from agentic.control.types import Finish, Problem, Recover, Trouble, TurnState


@dataclass(frozen=True, slots=True)
class Step:
    """One more chance: a prompt, the temperature to ask with (None: the model's own), and whether tools are offered."""

    prompt: str
    temperature: float | None = None
    tools: bool = True


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps in their order, and what follows the last."""

    steps: tuple[Step, ...]
    end: Finish


LADDERS: dict[Problem, Ladder] = {
    "empty": Ladder(
        (Step("empty"), Step("empty_last", 0.7, tools=False)),
        Finish(
            "error",
            why="the model gave nothing but empty answers",
            fallback="The model gave nothing but empty answers. Ask again, or try another model.",
        ),
    ),
    "unread": Ladder(
        (Step("unread", 0.2), Step("unread", 0.0)),
        Finish(
            "error",
            why="the model's tool calls could not be read",
            fallback="The model's tool calls could not be read. Ask again, or try another model; `agentic doctor` "
            "says how its server offers tools.",
        ),
    ),
    "named": Ladder(
        (Step("named", 0.2), Step("named", 0.0), Step("named_last", tools=False)),
        Finish(
            "no_progress",
            why="the model announces tool calls and makes none",
            fallback="The model only says which tool it is going to call, and calls none. Ask again, or try another "
            "model; `agentic doctor` says how its server offers tools.",
        ),
    ),
    "repeating": Ladder(
        (Step("repeating", 0.7), Step("repeating_last", 1.0)),
        Finish(
            "loop",
            why="the model's text repeats itself",
            fallback="Stopped: the model's text repeats itself without end. Ask again in other words, or try another "
            "model.",
        ),
    ),
    "too_long": Ladder(
        (),
        Finish("max_tokens", summarise=True, why="the answers reached their token limit again and again"),
    ),
    "refused": Ladder(
        (Step("refused"),),
        Finish("no_progress", summarise=True, why="too many calls were refused"),
    ),
    "loop": Ladder(
        (Step("loop"), Step("loop_last", 0.8)),
        Finish("loop", summarise=True, why="the same call was repeated without any change"),
    ),
    "output": Ladder(
        (Step("output"), Step("output", 0.8)),
        Finish("loop", summarise=True, why="other calls gave the same result again and again"),
    ),
    "failing": Ladder(
        (Step("failing"), Step("failing", 0.5)),
        Finish("no_progress", summarise=True, why="too many calls failed in a row"),
    ),
    "talk": Ladder(
        (Step("talk", 0.7), Step("talk", 1.0)),
        Finish("loop", summarise=True, why="the model said the same again and again"),
    ),
    "farewell": Ladder(
        (Step("farewell"), Step("force", tools=False)),
        Finish("no_progress", summarise=True, why="the model said that it had come to its end, but did not end"),
    ),
    "stale": Ladder(
        (Step("stale"), Step("stale", 0.8)),
        Finish("no_progress", summarise=True, why="the last calls brought nothing new"),
    ),
    "research": Ladder(
        (Step("research"), Step("research"), Step("force", tools=False)),
        Finish("no_progress", summarise=True, why="much was read and nothing was done"),
    ),
}


def next_step(state: TurnState, trouble: Trouble) -> Recover | Finish | None:
    """What to do about it now; nothing where the model was told of it and has not made it worse since.

    No step is left out, however fast a problem grows: an answer of many calls is judged as one.
    """
    ladder = LADDERS[trouble.problem]
    said, count = state["nudged"].get(trouble.problem, (0, 0))
    if trouble.strength <= said or trouble.count <= count:
        return None
    if said == len(ladder.steps):
        return ladder.end
    step = ladder.steps[said]
    return Recover(trouble.problem, step.prompt, said + 1, trouble.pattern, step.temperature, step.tools, trouble.count)
