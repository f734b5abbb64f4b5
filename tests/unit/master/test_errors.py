"""What is told of what the system refuses."""

import os
import re

import pytest

from prefork.ipc.channel import Ready, channel_pair
from prefork.master.errors import StartError, refusal, refusals


def test_of_what_is_refused_below_the_standard_library_the_place_in_this_program_is_told() -> None:
    ours, theirs = channel_pair()
    theirs.close()
    with pytest.raises(BrokenPipeError) as caught:
        ours.send(Ready())
    ours.close()
    told = refusal(caught.value)
    assert told["reason"] == "Broken pipe"
    assert re.fullmatch(r"channel\.py:\d+", str(told["at"]))


def test_what_is_refused_though_there_is_enough_of_it_needs_no_higher_limits() -> None:
    with pytest.raises(StartError) as caught, refusals():
        os.close(-1)
    assert (caught.value.status, caught.value.problem) == (
        os.EX_OSERR,
        "the system refused: Bad file descriptor; its own log may say why",
    )
