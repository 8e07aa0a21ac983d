"""`python -m tests.model SEED`: one schedule, step by step. `--count N`: so many from SEED on, and what they found.

`--seconds S`: no new one after so long.
"""

import argparse
import json
import sys
import time

from tests.model.laboratory import Laboratory
from tests.model.world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    arguments = parser.parse_args()
    with Laboratory() as laboratory:
        if not arguments.count:
            report = World(laboratory, arguments.seed).run()
            print(report.plan, *report.trace, sep="\n")
            return int(bool(report.broken))
        began, done, sent, kills, broken = time.perf_counter(), 0, 0, 0, {}
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            if time.perf_counter() - began > arguments.seconds:
                break
            done += 1
            report = World(laboratory, seed).run()
            sent, kills = sent + report.sent, kills + report.kills
            if report.broken:
                broken[seed] = report.broken[0]
    seconds = time.perf_counter() - began
    print(json.dumps({"count": done, "sent": sent, "kills": kills, "seconds": seconds, "broken": broken}))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
