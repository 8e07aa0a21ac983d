"""`python -m tests.bench [--quick] [--only GROUP]` or `--chaos`: prints the table; 1 if a budget is missed."""

import argparse
import os
import platform
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

for name in [name for name in os.environ if name.startswith("PORTAL_") and not name.startswith("PORTAL_TEST_")]:
    del os.environ[name]  # what a developer has set for a run of the product

from tests.bench import chaos, far, hang, long_log, near, postgres, web  # noqa: E402
from tests.bench.processes import HOW_TO_INSTALL, smtp_sink_program  # noqa: E402
from tests.bench.table import Row, say, show  # noqa: E402
from tests.support.valkey import Valkey  # noqa: E402

GROUPS = {"near": near, "postgres": postgres, "far": far, "hang": hang, "web": web, "log": long_log}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench", description="Speed as ratios against peers in the same run.")
    parser.add_argument("--quick", action="store_true", help="small counts: minutes less, and rougher")
    parser.add_argument("--only", choices=GROUPS, action="append", help="this group of rows; may be repeated")
    parser.add_argument("--chaos", action="store_true", help="the reliability table instead, in its full form")
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of everything's end
    if wanted.chaos:
        return chaos.main()
    if smtp_sink_program() is None:
        say(f"Without Postfix's smtp-sink the figures of delivery are not comparable. Install it: {HOW_TO_INSTALL}")

    rows: list[Row] = []
    for group in wanted.only or GROUPS:
        with tempfile.TemporaryDirectory(prefix="absender-bench-") as folder, Valkey() as valkey:
            rows += _measured(group, Path(folder), valkey, wanted.quick)
    form = "small form" if wanted.quick else "full form"
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {form}, Python {platform.python_version()}, {os.cpu_count()} cores", end="")
    show(rows)
    return int(any(row.verdict == "MISSED" for row in rows))


def _measured(group: str, folder: Path, valkey: Valkey, quick: bool) -> list[Row]:
    try:
        part = GROUPS[group]
        return part.measure(folder, valkey, part.QUICK if quick else part.FULL)
    except Exception as error:  # the other groups' figures are worth having all the same
        return [Row(group, f"could not be measured: {' '.join(str(error).split())[:300]}", 0, least=1)]


if __name__ == "__main__":
    sys.exit(main())
