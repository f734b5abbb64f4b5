"""What the README lists is what the code does."""

import re
from pathlib import Path
from signal import Signals

import click
import pytest

from prefork.commands.mistakes import meant_option
from prefork.commands.serving import run_command
from prefork.config.file import read_file
from prefork.config.keys import KEYS, keys_of
from prefork.config.option import RUN
from prefork.master.fleet import Phase
from prefork.master.signals import OBEYED
from prefork.master.transitions import TRANSITIONS
from tests.corpus import table

README = Path(__file__).parents[2] / "README.md"
PAGES = (README, README.parent / "prefork/apps/README.md", README.parent / "systemd/README.md")


def section(name: str) -> str:
    """Return what stands between the two marks of this name."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README.read_text(), re.DOTALL)
    assert found, f"README.md has no section {name}"
    return found[1]


def transitions_figure() -> str:
    """Draw the table of transitions: a row a phase, a column an event."""
    events = list(dict.fromkeys(event for _, event in TRANSITIONS))
    phases = [phase for phase in Phase if phase is not Phase.GONE]
    lines = [
        "| in ╲ when | " + " | ".join(event.__name__ for event in events) + " |",
        "| --- " * (len(events) + 1) + "|",
    ]
    for phase in phases:
        cells = []
        for event in events:
            row = TRANSITIONS.get((phase, event))
            cells.append(f"{row[0].name}: {row[1].__name__.replace('_', ' ')}" if row else "")
        lines.append(f"| {phase.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def test_the_figure_of_the_transitions_is_drawn_from_the_table() -> None:
    assert section("transitions") == transitions_figure()


def test_every_signal_that_the_master_obeys_is_listed_and_no_other() -> None:
    listed = re.findall(r"^\| ([A-Z0-9, ]+) \|", section("signals"), re.MULTILINE)
    assert {name for cell in listed for name in cell.split(", ")} == {Signals(number).name[3:] for number in OBEYED}


def test_the_rules_of_http_are_those_of_the_corpus() -> None:
    assert section("rules") == table()


def test_the_options_that_replace_those_of_others_are_ours() -> None:
    rows = [row.split(" | ")[-1] for row in section("options").splitlines()]
    named = {flag for cell in rows for flag in re.findall(r"--[a-z][a-z-]+", cell)}
    others = {"--config", "--check-config", "--print-config", "--json", "--socket"}  # the last of `service install`
    assert named <= {each.flag for each in keys_of(RUN).values()} | others
    assert len(named) > 30


def test_what_takes_a_restart_is_listed() -> None:
    found = re.search(r"A reload takes all changes but those of ([^:]*):", README.read_text())
    assert found
    restart = {name for name, key in KEYS.items() if key.option.at_restart}
    assert set(re.findall(r"`(\w+)`", found[1])) == restart


def hint_at(option: str) -> str:
    """Return what `prefork run` says to an option of another server, nothing to one that it has too."""
    command = run_command()
    if any(option in parameter.opts for parameter in command.params):
        return ""
    with pytest.raises(click.NoSuchOption) as raised:
        command.make_context("run", ["shop:app", option])
    return meant_option(raised.value)


def test_an_option_of_others_is_answered_with_one_that_stands_beside_it_or_none() -> None:
    beside: dict[str, set[str]] = {}
    for row in section("options").splitlines():
        *theirs, ours = row.split(" | ")
        for option in re.findall(r"(?<!\S)`?(--[a-z][a-z_-]+)", " ".join(theirs)):
            beside.setdefault(option, set()).update(re.findall(r"--[a-z][a-z-]+", ours))
    answered = {option: set(re.findall(r"--[a-z][a-z-]+", hint_at(option))) for option in beside}
    assert {option: hint for option, hint in answered.items() if not hint <= beside[option]} == {}
    assert sum(map(bool, answered.values())) > 40


@pytest.mark.parametrize(
    "option", ["--venv", "--paste", "--spew", "--home", "--http2", "--cheap", "--idle", "--plugin"]
)
def test_an_option_that_resembles_none_of_ours_but_for_its_dashes_is_answered_with_none(option: str) -> None:
    assert hint_at(option) == ""


@pytest.mark.parametrize(
    ("option", "ours"),
    [("--ini", "--config"), ("--ssl-version", "--tls-min"), ("--worker", "--workers"), ("--bnd", "--bind")],
)
def test_an_option_whose_name_leads_elsewhere_or_has_a_typo_is_answered_with_ours(option: str, ours: str) -> None:
    assert hint_at(option).startswith(f", did you mean {ours}")


def test_what_the_recipe_for_a_container_copies_is_in_a_clone() -> None:
    clone = README.parent
    copied = re.findall(r"^COPY (\S+) ", (clone / "systemd/README.md").read_text(), re.MULTILINE)
    assert copied
    assert [path for path in copied if not (clone / path).exists()] == []


def shown(language: str) -> list[str]:
    """Return the blocks of this language on all pages."""
    return [each for page in PAGES for each in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)]


def test_the_configurations_that_are_shown_are_valid(tmp_path: Path) -> None:
    for text in shown("toml"):
        path = tmp_path / "shown.toml"
        path.write_text(text)
        assert [setting.value() for setting in read_file(str(path))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), path
        headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE) if anchor else []
        spelled = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
        assert not anchor or anchor in spelled, anchor


def test_the_log_lines_that_are_explained_are_those_of_the_code() -> None:
    table = README.read_text().partition("| what you see |")[2].partition("\n\n")[0]
    seen = [row.split(" | ")[0] for row in table.splitlines()[2:]]
    quoted = re.findall(r"(?:`|reason=\")([A-Za-z][a-zA-Z',:; -]{9,}?)(?:`|\"| …| \w+=)", "\n".join(seen))
    code = "\n".join(path.read_text() for path in (README.parent / "prefork").rglob("*.py"))
    assert [each for each in quoted if each.rpartition(", ")[2] not in code] == []  # a signal's name is the system's
    assert len(quoted) > 10
