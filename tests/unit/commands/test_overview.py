"""What `prefork status` prints."""

from msgspec.structs import replace

from prefork.commands.overview import overview
from prefork.ipc.control import LastReload, Mold, Refused, Service, Worker

SERVICE = Service(
    name="prefork-hello",
    version="1.2",
    pid=812,
    uptime=93784.9,
    generation=2,
    wanted=2,
    state="serving",
    last_reload=LastReload(3, "failed", "x.toml:2: workers: expected a number"),
    listeners=("127.0.0.1:80", "unix:/run/x"),
    workers=(
        Worker(0, 1234, 2, "ready", age=61.5, connections=7, requests=1024, failures=0, deadline=None, opening=3),
        Worker(1, None, 2, "backoff", age=None, connections=0, requests=0, failures=12, deadline=3.21),
    ),
)


def test_the_overview_is_a_table_below_three_lines() -> None:
    assert overview(SERVICE).split("\n") == [
        "prefork-hello 1.2, pid 812, serving, up 1 day, 2:03:04",
        "generation 2, 2 workers wanted, last reload (generation 3) failed: x.toml:2: workers: expected a number",
        "listening at 127.0.0.1:80, unix:/run/x",
        "",
        "slot   pid  generation    phase      age  connections  opening  requests  failures  deadline",
        "   0  1234           2    ready  0:01:01            7        3      1024         0         -",
        "   1     -           2  backoff        -            0        0         0        12      3.2s",
    ]


def test_of_one_worker_the_noun_is_in_the_singular() -> None:
    assert "generation 2, 1 worker wanted, " in overview(replace(SERVICE, wanted=1))


def test_molds_are_told_between_the_addresses_and_the_workers() -> None:
    molds = (Mold(813, 2, "ready", 61.5), Mold(900, 3, "loading", 0.2))
    assert overview(replace(SERVICE, molds=molds)).split("\n")[2:6] == [
        "listening at 127.0.0.1:80, unix:/run/x",
        "mold 813 of generation 2, ready, up 0:01:01",
        "mold 900 of generation 3, loading, up 0:00:00",
        "",
    ]


def test_what_waits_for_a_restart_is_told_below_the_addresses() -> None:
    lines = overview(replace(SERVICE, at_restart=("user", "group"))).split("\n")
    assert lines[2:5] == ["listening at 127.0.0.1:80, unix:/run/x", "only a restart changes user, group", ""]


def test_what_was_refused_is_listed_below_the_most_frequent_first() -> None:
    refused = (Refused(0, "TLS handshake failed", 3), Refused(400, "bare line feed", 1024), Refused(408, "waited", 3))
    assert overview(replace(SERVICE, refused=refused)).split("\n")[7:] == [
        "",
        "refused  status  reason",
        "   1024     400  bare line feed",
        "      3       -  TLS handshake failed",
        "      3     408  waited",
    ]


def test_a_service_that_was_never_reloaded_and_listens_nowhere_says_so() -> None:
    lines = overview(replace(SERVICE, last_reload=None, listeners=())).split("\n")
    assert lines[1].endswith("last reload none")
    assert lines[2] == "listening at no address"


def test_what_failed_last_and_who_gives_no_sign_of_life_is_told_above_the_workers() -> None:
    silent = replace(SERVICE.workers[0], silent=8.4, request="GET /report")
    told = replace(SERVICE, failure="worker 1 failed 05:12:34: killed by SIGKILL", workers=(silent,))
    assert overview(told).split("\n")[3:6] == [
        "worker 1 failed 05:12:34: killed by SIGKILL",
        "worker 0 has been silent for 8 s, busy with GET /report",
        "",
    ]
    busy = replace(SERVICE.workers[0], busy=61.2, request="GET /report")
    assert "\nworker 0 has been busy with GET /report for 61 s\n" in overview(replace(SERVICE, workers=(busy,)))
    unknown = replace(SERVICE.workers[0], silent=3.0)
    assert "\nworker 0 has been silent for 3 s\n" in overview(replace(SERVICE, workers=(unknown,)))
