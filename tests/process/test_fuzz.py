"""A little of what `python -m tests.fuzz` does for as long as one likes, and the corpus as it is."""

import pytest

from tests.corpus import CASES
from tests.fuzz.attacking import CONFIGURATION, attack
from tests.process.starting import Start


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_mutated_requests_do_no_harm(start: Start, accept: str) -> None:
    hello = start(f'{CONFIGURATION}accept = "{accept}"')
    findings = attack(hello, lambda so_far: so_far.connections < 3000, seed=1)
    assert findings.problems == []
    assert {200, 400, 414, 417, 431, 501, 505} <= set(findings.statuses)


def test_each_rule_is_kept_by_the_running_service(start: Start) -> None:
    hello = start("workers = 1\nforwarded_allow_ips = []")
    for case in CASES:
        client = hello.connect()
        client.send(case.sent)
        to_head = case.sent.startswith(b"HEAD")
        answers = [client.answer(to_head=to_head) for _ in case.answers]
        assert tuple(answer.status for answer in answers) == case.answers, case
        if case.is_refused:
            assert answers[-1].is_last, case
            assert client.until_closed() == b"", case
        client.close()
