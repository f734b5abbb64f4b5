"""Nothing is decided by the time of day, which people and NTP change: that is for stamps only."""

import re
from pathlib import Path

import prefork

WALL_CLOCK = re.compile(
    r"\btime\.(?:time|time_ns|localtime|ctime)\b|CLOCK_REALTIME|from datetime import (?!timedelta$)|from time import (?!monotonic(?:, monotonic_ns|_ns)?$)",
    re.MULTILINE,
)
STAMPS = {
    "apps/serving.py": ["time.time"],  # compared with those of files
    "commands/serving.py": ["time.time"],  # of the end of a certificate
    "logs/log.py": ["time.time_ns"],  # of a line of the log
    "run/expiry.py": ["from datetime import ", "time.time"],  # of the end of a certificate
    "worker/observing.py": ["time.time"],  # of a line of the access log
    "worker/worker.py": ["time.time"],  # Date
}


def test_only_stamps_are_made_of_the_time_of_day() -> None:
    folder = Path(prefork.__file__).parent
    found = {str(each.relative_to(folder)): WALL_CLOCK.findall(each.read_text()) for each in folder.rglob("*.py")}
    assert {name: uses for name, uses in found.items() if uses} == STAMPS
