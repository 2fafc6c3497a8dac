"""Machines that meet: threads stand for them, each with ports of its own, and a folder for the store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from seaweed import free_ports

from boxwright.errors import UsageError
from boxwright.training import meeting
from boxwright.training.meeting import Generation, MissingMachineError, gather, join
from boxwright.training.meeting_records import Arrival, Call, Fault, MeetingPlace
from boxwright.training.reaching import Listener, own_address, why_not_reached

HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "POLL", 0.05)
    monkeypatch.delenv("BOXWRIGHT_TRAINING_ADDRESS", raising=False)


@pytest.fixture
def place(tmp_path: Path) -> MeetingPlace:
    return MeetingPlace(str(tmp_path / "machines"))


@pytest.fixture
def begin() -> Any:
    """Starts what a machine does, in a thread."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


def come(place: MeetingPlace, rank: int) -> Generation:
    """Asks again and again, as the task of a machine does."""
    while (found := join(place, rank)) is None:
        threading.Event().wait(0.05)
    return found


Begin = Callable[..., Future[Any]]


def test_machines_that_come_in_any_order_are_one_generation_after_the_other(place: MeetingPlace, begin: Begin) -> None:
    for number in (1, 2):
        others = [begin(come, place, rank) for rank in (2, 1)]
        first = gather(place, 3, HERE)
        assert [first, *(other.result(60) for other in others)] == [
            Generation(number, first.addresses, rank) for rank in (0, 2, 1)
        ]
        assert len(set(first.addresses)) == 3
        told = json.loads(first.tf_config())
        assert told == {"cluster": {"worker": list(first.addresses)}, "task": {"type": "worker", "index": 0}}


def test_a_machine_without_a_call_or_with_an_old_one_is_asked_to_come_again(place: MeetingPlace, begin: Begin) -> None:
    assert not place.is_called() and join(place, 1) is None
    other = begin(come, place, 1)
    gather(place, 2, HERE)
    other.result(60)
    assert place.is_called() and join(place, 1) is None, "the first machine trains, and calls nobody"


def test_who_did_not_come_is_named_with_what_ended_it_before(
    place: MeetingPlace, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_MEETING_SECONDS", "1")
    place.put(Call(generation=4, address=f"{HERE}:9", word="old", seconds=1))
    place.put(Fault(message="memory does not suffice", retryable=False), 4, 2)
    stop = threading.Event()
    other = begin(lambda: join_until(place, 1, stop))
    with pytest.raises(MissingMachineError) as caught:
        gather(place, 3, HERE)
    stop.set()
    assert other.result(60) is None
    said = str(caught.value)
    assert said.startswith("training_machines=3: not all were there within 1 s: machine 2 did not come: no worker took")
    assert "too few slots" in said and "generation 4 ended there with: memory does not suffice" in said
    assert "machine 1" not in said and caught.value.retryable


def join_until(place: MeetingPlace, rank: int, stop: threading.Event) -> Generation | None:
    while not stop.is_set():
        if found := join(place, rank):
            return found
    return None


def test_a_port_that_is_not_reached_is_named_from_both_sides(
    place: MeetingPlace, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_MEETING_SECONDS", "2")
    dead, dead_too = free_ports(2)

    def pretend() -> None:
        """Two machines behind something that lets nothing through, in one direction each."""
        while not (call := place.find(Call)):
            threading.Event().wait(0.02)
        shut = Arrival(call=call.word, host="shut", address=f"{HERE}:{dead}", word="w")
        deaf = Arrival(call=call.word, host="deaf", address=f"{HERE}:{dead_too}", word="w", unreached="timed out")
        place.put(shut, 1, 1)
        place.put(deaf, 1, 2)

    begin(pretend)
    with pytest.raises(MissingMachineError) as caught:
        gather(place, 3, HERE)
    said = str(caught.value)
    assert f"machine 1 (shut, {HERE}:{dead}) came, and is not reached from this machine: Connection refused" in said
    assert f"machine 2 (deaf, {HERE}:{dead_too}) does not reach this machine: timed out" in said
    assert "BOXWRIGHT_TRAINING_ADDRESS=HOST:PORT" in said


def test_machines_that_reach_the_first_one_and_not_each_other_are_named(
    place: MeetingPlace, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "LOOKING_SECONDS", 1.0)
    monkeypatch.setattr(meeting, "_unreached", lambda roster, rank: {2: "No route to host"} if rank == 1 else {})
    stop = threading.Event()
    others = [begin(join_until, place, rank, stop) for rank in (1, 2)]
    with pytest.raises(
        MissingMachineError, match=r"machine 1 \(.*\) does not reach machine 2 \(.*\): No route to host"
    ):
        gather(place, 3, HERE)
    stop.set()
    assert [other.result(60) for other in others] == [None, None]


def test_a_second_copy_of_a_machine_takes_its_place_and_the_first_one_ends(place: MeetingPlace, begin: Begin) -> None:
    first = begin(gather, place, 3, HERE)
    while not place.is_called():
        threading.Event().wait(0.02)
    copies = [begin(join, place, 1)]
    while not (arrival := place.find(Arrival, 1, 1)):
        threading.Event().wait(0.02)
    copies.append(begin(join, place, 1))
    while place.find(Arrival, 1, 1) == arrival:
        threading.Event().wait(0.02)
    last = begin(join, place, 2)
    assert copies[0].result(60) is None
    assert copies[1].result(60).addresses == first.result(60).addresses == last.result(60).addresses


def test_a_machine_listens_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_address(HERE) == (HERE, 0)
    for text, found in {"10.1.2.3": ("10.1.2.3", 0), "gpu-1:7777": ("gpu-1", 7777), ":7777": (HERE, 7777)}.items():
        monkeypatch.setenv("BOXWRIGHT_TRAINING_ADDRESS", text)
        assert own_address(HERE) == found
    for text in ("gpu-1:", "gpu-1:http", "::1", "http://gpu-1:80", "gpu-1:70000"):
        monkeypatch.setenv("BOXWRIGHT_TRAINING_ADDRESS", text)
        with pytest.raises(UsageError, match="expected HOST, HOST:PORT or :PORT"):
            own_address(HERE)
    (port,) = free_ports(1)
    with Listener(port, "a word"):
        assert why_not_reached(f"{HERE}:{port}", "a word") == ""
        assert why_not_reached(f"{HERE}:{port}", "another") == "another program answers there"
        with pytest.raises(UsageError, match=f"port {port} of this machine cannot be had"):
            Listener(port, "a word")
    assert why_not_reached(f"{HERE}:{port}", "a word") == "Connection refused"


@pytest.mark.parametrize("text", ["0", "-1", "soon", "1e9", "nan"])
def test_a_time_that_is_none_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXWRIGHT_MEETING_SECONDS", text)
    with pytest.raises(UsageError, match="BOXWRIGHT_MEETING_SECONDS=.*expected a number of seconds"):
        meeting.meeting_seconds()
