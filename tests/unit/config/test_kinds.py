"""What each kind accepts, and how it refuses."""

import re

import pytest

from prefork.config.addresses import Inet, Passed, Unix
from prefork.config.kinds import Kind, addresses, boolean, choice, duration, mode, networks, size, text, whole_number

NUMBER = whole_number(1, 1024, word="auto")
PLAIN_NUMBER = whole_number(0, 9, but_not=(3, 5, 7))
DURATION = duration(0.001, 3600.0)
SIZE = size(64, 1024**2)
CHOICE = choice("reuseport", "shared")
TEXT = text("a word", "WORD", "[a-z]+")


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (NUMBER, 1, 1),
        (NUMBER, 1024, 1024),
        (NUMBER, "auto", "auto"),
        (PLAIN_NUMBER, 4, 4),
        (DURATION, 30, 30.0),
        (DURATION, 0.5, 0.5),
        (DURATION, 0.001, 0.001),
        (DURATION, "1h", 3600.0),
        (DURATION, "2m", 120.0),
        (SIZE, 64, 64),
        (SIZE, "8k", 8192),
        (CHOICE, "shared", "shared"),
        (TEXT, "word", "word"),
        (boolean(), False, False),
        (mode(), "0660", 0o660),
        (addresses(), "[::1]:80", (Inet("::1", 80),)),
        (addresses(), ["unix:x", "a:0"], (Unix("x"), Inet("a", 0))),
        (addresses(), ["systemd", "a:0"], (Passed(), Inet("a", 0))),
        (addresses(), ["systemd:a", "systemd:b"], (Passed("a"), Passed("b"))),
        (networks(), [], ()),
        (networks(), "10.0.0.0/8", ("10.0.0.0/8",)),
        (networks(), ["127.0.0.1/32", "0:0::1", "unix:", "*"], ("127.0.0.1/32", "0:0::1", "unix:", "*")),
    ],
)
def test_a_good_raw_becomes_its_value(kind: Kind, raw: object, value: object) -> None:
    parsed = kind.parse(raw)
    assert (parsed, type(parsed)) == (value, type(value))


REFUSED: list[tuple[Kind, list[object]]] = [
    (NUMBER, [0, 1025, True, 4.0, "4", "", "Auto", None, [], {}, 10**400]),
    (PLAIN_NUMBER, [-1, 3, 10, "", "0"]),
    (DURATION, [0, -1, 3601, True, float("nan"), float("inf"), 10**400, "0", "", "long", [], None]),
    (SIZE, [0, 63, 64.0, True, 10**400, "63", "2MiB", "8kB", {}]),
    (CHOICE, ["", "SHARED", 1, ["shared"], None]),
    (TEXT, ["", "Word", "word\n", 1, True, ["word"]]),
    (boolean(), [0, 1, "true", None]),
    (mode(), [660, 0o660, "abc", True]),
    (addresses(), [[], "", "8080", 8080, [8080], [["a:1"]], {}, None, ["a:1", "a:1"], ["[::1]:1", "[0::1]:1"]]),
    (networks(), ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "unix:x", 1, [1], [["*"]], {}, None, [""]]),
]


@pytest.mark.parametrize(("kind", "raw"), [(kind, raw) for kind, raws in REFUSED for raw in raws])
def test_a_bad_raw_is_refused(kind: Kind, raw: object) -> None:
    with pytest.raises(ValueError, match=r"expected|twice|alone"):
        kind.parse(raw)


@pytest.mark.parametrize(
    ("kind", "raw", "problem"),
    [
        (NUMBER, "many", 'expected a whole number from 1 to 1024 or "auto", got "many"'),
        (PLAIN_NUMBER, 3, "expected a whole number from 0 to 9 but not 3, 5 or 7, got 3"),
        (DURATION, "0", 'expected a duration from 1ms to 1h such as 30, "1.5s" or "2m", got "0"'),
        (SIZE, True, 'expected a size from 64 to 1MiB such as 4096, "8k" or "16MiB", got true'),
        (CHOICE, {}, 'expected "reuseport" or "shared", got a table'),
        (choice("a"), "b", 'expected "a", got "b"'),
        (TEXT, "Word", 'expected a word, got "Word"'),
        (text("a word", "WORD", "[a-z]+", str.lower), "Word", 'expected a word, got "Word", did you mean word?'),
        (text("a word", "WORD", "[a-z]+", str.lower), "1", 'expected a word, got "1"'),
        (boolean(), 1, "expected true or false, got 1"),
        (mode(), 660, 'expected an octal mode such as "0660", got 660'),
        (addresses(), [], "expected at least one address, got a list"),
        (addresses(), "", 'expected HOST:PORT, [IPV6]:PORT, unix:PATH, systemd, systemd:NAME or fd:N, got ""'),
        (networks(), ["x"], 'expected an IP address, a network such as 192.0.2.0/24, "unix:" or "*", got "x"'),
        (
            addresses(),
            ["a:1", "b"],
            'expected HOST:PORT, [IPV6]:PORT, unix:PATH, systemd, systemd:NAME or fd:N, got "b", did you mean b:8080?',
        ),
        (
            addresses(),
            ["unix:/" + 107 * "a"],
            f'expected a path of at most 107 bytes (unix(7)), got "unix:/{54 * "a"}…"',
        ),
        (addresses(), ["[0::1]:1", "[::1]:1"], '"[::1]:1" is listed twice'),
        (addresses(), ["systemd:a", "systemd"], '"systemd" stands for all names; list it alone, or the names'),
    ],
)
def test_a_refusal_says_what_was_expected_and_what_was_got(kind: Kind, raw: object, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        kind.parse(raw)


@pytest.mark.parametrize(
    ("kind", "given", "raw"),
    [
        (NUMBER, "4", 4),
        (NUMBER, "-4", -4),
        (NUMBER, "auto", "auto"),
        (NUMBER, "4 ", "4 "),
        (NUMBER, "٤", "٤"),
        (NUMBER, "9" * 5000, "9" * 5000),
        (DURATION, "30", "30"),
        *((boolean(), word, True) for word in ("true", "Yes", "on", "1")),
        *((boolean(), word, False) for word in ("false", "no", "OFF", "0")),
        (boolean(), "maybe", "maybe"),
        (addresses(), "a:1,unix:b", ["a:1", "unix:b"]),
        (networks(), "::1,unix:", ["::1", "unix:"]),
        (networks(), "", []),
    ],
)
def test_text_is_lifted_to_what_toml_would_hold(kind: Kind, given: str, raw: object) -> None:
    assert kind.lift(given) == raw


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        (NUMBER, "auto", "auto"),
        (DURATION, 30.0, "30s"),
        (SIZE, 8192, "8KiB"),
        (boolean(), True, True),
        (mode(), 0o600, "0600"),
        (addresses(), (Inet("::1", 80), Unix("x")), ["[::1]:80", "unix:x"]),
        (networks(), ("::1", "10.0.0.0/8", "unix:", "*"), ["::1", "10.0.0.0/8", "unix:", "*"]),
    ],
)
def test_a_value_is_spelled_as_it_may_be_given(kind: Kind, value: object, raw: object) -> None:
    assert kind.spell(value) == raw
    assert kind.parse(raw) == value
