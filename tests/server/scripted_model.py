"""A model server as a process: `scripted_model.py PORT` prints its port and plays one task, slowly, until it is killed.

The task has two steps, an edit and a command, and can be gone on with at any of the servers that play it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.model_server import Json, ModelServer, Reply
from support.runs import work

STEPS = [
    ("edit_file", {"path": "counted.txt", "old": "mark", "new": "mark+"}),
    ("run_command", {"command": "echo ran >> ran.txt"}),
]
WORDS = "one word after the other, so that there is time to die in the middle of it"


def answer(request: Json) -> Reply:
    """What follows from how much has been done."""
    done = sum(message["role"] == "tool" for message in request["messages"])
    text = f"{'' if done else work()}Step {done}: {WORDS}."
    return Reply(text, calls=STEPS[done : done + 1], pace=0.05)


async def main() -> None:
    async with ModelServer(answer, port=int(sys.argv[1])) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
