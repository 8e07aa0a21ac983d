"""What a benchmark found: measured figures, the ratio that counts, and its budget."""

import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Runs = dict[str, list[float]]


@dataclass(frozen=True)
class Row:
    """One line of the table. Without a budget it is information; `note` says what a figure must not be taken for."""

    what: str
    measured: str
    ratio: float | None = None
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.ratio is None or (self.least is None and self.most is None):
            return "info"
        enough = self.least is None or self.ratio >= self.least
        little = self.most is None or self.ratio <= self.most
        return "ok" if enough and little else "MISSED"

    @property
    def budget(self) -> str:
        if self.least is not None:
            return f">= {self.least:g}"
        return f"<= {self.most:g}" if self.most is not None else ""


def interleaved(rounds: int, candidates: dict[str, Callable[[], float]]) -> Runs:
    """Measure all candidates in turn, `rounds` times: what else the machine does meets each of them."""
    runs: Runs = {name: [] for name in candidates}
    for number in range(rounds):
        for name, measure in candidates.items():
            say(f"  {name}, {number + 1} of {rounds}")
            runs[name].append(measure())
    return runs


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def percentile(values: Iterable[float], percent: int) -> float:
    """What this share of them lies at or below."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def spread(values: list[float], unit: str, digits: int = 0) -> str:
    """The median and what it lies between."""
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    around = f" ({low}-{high})" if low != high else ""
    return f"{median(values):.{digits}f}{unit}{around}"


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(text, file=sys.stderr, flush=True)


def show(rows: list[Row]) -> None:
    print("\n| what | measured: median (lowest-highest) | ratio | budget | |\n|---|---|---|---|---|")
    for row in rows:
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        note = f"; {row.note}" if row.note else ""
        print(f"| {row.what} | {row.measured}{note} | {ratio} | {row.budget} | {row.verdict} |")
    sys.stdout.flush()
