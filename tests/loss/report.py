"""What people read: a summary of one result, and the table of many."""

from collections.abc import Iterable
from typing import Final

from tests.loss.tally import Outcome
from tests.loss.trial import Result, Trial

LOG_LINES: Final = 20


def title(trial: Trial) -> str:
    """Return what was tried, in words."""
    return " ".join(filter(None, [trial.server, trial.accept, trial.action.name]))


def summary(result: Result) -> str:
    """Return a result in lines: the counts, and if something was wrong what was seen."""
    lines = [f"{title(result.trial)}: {result.actions} times in {result.seconds:.1f} s"]
    lines += [f"  {outcome.value:23}{result.tally[outcome]:8}" for outcome in Outcome]
    if result.queued:
        lines.append(f"  {'may be cut besides':23}{result.queued:8}")
    if result.problems:
        lines += [f"wrong: {', '.join(result.problems)}", "The first of these:"]
        lines += [f"  {note}" for note in result.tally.notes(result.trial.action.never)]
        lines += ["The server's last words:", *(f"  {line}" for line in result.log.splitlines()[-LOG_LINES:])]
    return "\n".join(lines)


def table(results: Iterable[Result]) -> str:
    """Return the results as a table in Markdown."""
    heads = [outcome.value for outcome in Outcome]
    rows = [["server", "accept", "action", "times", *heads]]
    for each in results:
        trial = each.trial
        counts = [f"{each.tally[outcome]:,}" for outcome in Outcome]
        rows.append([trial.server, trial.accept or "-", trial.action.name, str(each.actions), *counts])
    rows.insert(1, ["---"] * 3 + ["---:"] * (len(rows[0]) - 3))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
