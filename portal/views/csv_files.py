"""Lists as CSV for spreadsheets: streamed, and no cell that a spreadsheet would run.

A form that posts asks for them: in a frame its body brings the session where no cookie goes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

from flask import Response, stream_with_context
from flask_babel import get_locale

from portal.models import utcnow
from portal.web.i18n import reader

# What makes a spreadsheet read a cell as a formula (owasp.org, CSV Injection), also behind spaces and in full width.
_BEGINS = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_FORMULA = re.compile(rf"[\s\ufeff]*{_BEGINS}|[\t\r\n]")
# The other separator ends a cell where the file is opened in another country, quoted or not.
_LATER_FORMULA = re.compile(rf"([;,])(?=[\s\ufeff\"]*{_BEGINS})")
_LINE_ENDS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
BOM = "\ufeff"  # without it Excel reads UTF-8 as the machine's old code page


def stream(name: str, head: list[str], batches: Iterable[list[list[str]]]) -> Response:
    """A download named `name` and the reader's day, of a line of titles and batches of rows."""
    response = Response(stream_with_context(_lines(head, batches)), content_type="text/csv; charset=utf-8")
    file = f"{name}-{utcnow().astimezone(zone()):%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{file}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _lines(head: list[str], batches: Iterable[list[list[str]]]) -> Iterator[str]:
    yield BOM + _csv([head])
    for batch in batches:
        if batch:
            yield _csv(batch)


def _csv(rows: list[list[str]]) -> str:
    """Rows as text. Excel where German is spoken has the comma in its numbers, and expects semicolons between cells."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";" if get_locale().language == "de" else ",")
    writer.writerows([harmless(_LINE_ENDS.sub(" ", cell)) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe in front, as people type it to mean text.

    Also within it, behind a comma or a semicolon, where a spreadsheet of another country begins the next cell.
    """
    cell = _LATER_FORMULA.sub(r"\1'", cell)
    return f"'{cell}" if _FORMULA.match(cell) else cell


def time(at: datetime | None, zone: tzinfo) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds") if at else ""


def zone() -> tzinfo:
    """The reader's, as on the page; each time names its offset."""
    return reader().zone or UTC
