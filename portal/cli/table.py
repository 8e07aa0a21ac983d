"""A table on the operator's screen."""

from __future__ import annotations

from collections.abc import Sequence

import click


def show_table(names: tuple[str, ...], rows: Sequence[tuple[object, ...]], empty: str = "", left_out: int = 0) -> None:
    """Print a row for each, each column as wide as its widest cell, or the sentence `empty` where there is none."""
    if not rows:
        click.echo(f"{empty}\n")
        return
    cells = [names, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(f"... and {left_out} more (--all shows them)\n" if left_out else "")
