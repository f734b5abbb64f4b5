"""Sends mutated requests to prefork-hello with two workers: `python -m tests.fuzz --seconds 600 --seed 1`.

From the root of the repository. Exit status 1: a crash, a hang, a traceback in the log, or a descriptor too many.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.attacking import CONFIGURATION, attack
from tests.process.starting import Start


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Send mutated requests.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same streams")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the workers may be somebody else's
        start = Start(Path(folder))
        try:
            hello = start(CONFIGURATION)
            ends_at = time.monotonic() + arguments.seconds
            findings = attack(hello, lambda _: time.monotonic() < ends_at, seed=arguments.seed)
        finally:
            problems = start.end()
    problems = findings.problems + problems
    sys.stdout.write(
        f"seed {arguments.seed}: {findings.connections} connections, {findings.statuses.total()} answers\n"
    )
    sys.stdout.writelines(f"  {status}: {count}\n" for status, count in sorted(findings.statuses.items()))
    sys.stdout.writelines(f"problem: {problem}\n" for problem in problems)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
