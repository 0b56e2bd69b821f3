"""What a benchmark says: rows with a target, as a table and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One number. `limit` is the most that it should be, `least` the least; None for one that is only told."""

    group: str
    name: str
    value: float
    unit: str
    limit: float | None = None
    beside: str = ""
    """What was measured with it, for whoever wants to judge it."""
    least: float | None = None

    @property
    def met(self) -> bool | None:
        if self.least is not None:
            return self.value >= self.least
        return None if self.limit is None else self.value <= self.limit

    @property
    def target(self) -> str:
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.limit is None else f"≤ {self.limit:g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line that fits the points best."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table("", "what", "value", "target", "", "beside", box=None)
    for row in rows:
        met = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[row.met]
        table.add_row(row.group, row.name, f"{row.value:.4g} {row.unit}", row.target, met, row.beside)
    Console(width=None if os.isatty(1) else 170).print(table)


def save(rows: Sequence[Row], path: Path) -> None:
    """Keep the run, with what is needed to judge it."""
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 2),
    }
    kept = [{**asdict(row), "value": float(f"{row.value:.4g}"), "met": row.met} for row in rows]
    text = msgspec.json.format(msgspec.json.encode({"machine": machine, "rows": kept}), indent=1)
    path.write_bytes(text + b"\n")
