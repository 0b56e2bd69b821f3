"""What a task goes through before the work begins: a council, a team, or neither. Pure."""

from __future__ import annotations

from typing import Literal

from agentic.control.triage import Classification
from agentic.task import Task

Station = Literal["deliberate", "delegate"]


def ahead(task: Task, found: Classification) -> list[Station]:
    """The stations before acting, in their order.

    A task that the user wants deliberated on is; with `auto` also one that is complex and of which triage is not sure,
    unless it is the user who says how complex it is: they ask for a team, and not for a council.
    Above the complexity `team.above` it is cut into parts. In plan mode nothing is changed, so there is nothing to
    part. Competing patches are the work itself and are not parted as well.
    """
    complex_task = found.complexity > task.team.above
    unsure = complex_task and task.overrides.complexity is None and found.confidence < task.council.below
    wanted = task.deliberate or ("plan" if task.council.use == "auto" and unsure else "")
    stations: list[Station] = ["deliberate"] if wanted else []
    if complex_task and wanted != "patch" and task.mode != "plan":
        stations.append("delegate")
    return stations
