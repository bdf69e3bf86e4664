"""Studies killed with SIGKILL at random moments until they are done, against undisturbed ones.

python benchmarks/survive_kills.py [KILLS] [--seed N] [--processes] [--seconds S]

A kill may fall anywhere: into the start, the first writes, an epoch, a file half written, the end
of a fleet, the drawing. After each the folder must read clean; at the end every table must be what
it is without kills, to the last digit, but for the columns of times.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from report import heading

from tests.faults.kills import STUDIES, Killer, arguments_of, forked, fresh


def main() -> None:
    """Go through the studies again and again until so many kills are survived."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kills", nargs="?", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument(
        "--processes", action="store_true", help="fresh processes, slowly, rather than forks of one"
    )
    asked = parser.parse_args()
    heading(f"SIGKILL at random moments, {asked.kills} times, seed {asked.seed}")
    killer = Killer(fresh if asked.processes else forked, asked.seed)
    began, different, studies = time.monotonic(), 0, 0

    def left() -> int:
        over = time.monotonic() - began > asked.seconds
        return 0 if over else asked.kills - killer.tally.kills

    with tempfile.TemporaryDirectory() as folder:
        while left() > 0:
            for name in STUDIES:
                if left() <= 0:
                    break
                studies += 1
                before = time.monotonic()
                try:
                    kills = killer.survive(
                        arguments_of(name), Path(folder) / name, most=min(left(), 40)
                    )
                    result = "the same"
                except AssertionError as error:
                    different += 1
                    kills, result = 0, f"BROKEN: {error}"
                print(
                    f"{name:<28} {kills:>3} kills {time.monotonic() - before:6.1f} s  {result}",
                    flush=True,
                )
    tally, seconds = killer.tally, time.monotonic() - began
    print(f"{tally.kills} kills, {tally.starts} starts, {studies} studies, {seconds:.0f} s")
    for phase, count in tally.phases.most_common():
        print(f"{count:>6} {phase}")
    halves = ", ".join(f"{name.lstrip('.')} {count}" for name, count in tally.files.most_common())
    print(f"files half written when killed: {halves or 'none'}")
    print(f"studies that differ: {different}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
