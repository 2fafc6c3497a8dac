"""How the machines of one training find each other: through the store, within a bounded time, and under one number.

The first machine calls. Each other one that finds a call which still stands comes, and says so. When all are there,
each looks whether it reaches all others; when all do, the first one says start, and TensorFlow connects them. That is a
generation. A machine that is lost ends it for all; the next call makes another, which goes on from the last epoch.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boxwright.errors import StorageError, UsageError
from boxwright.training.meeting_records import Arrival, Call, Fault, Looked, MeetingPlace, Record, Roster, Start
from boxwright.training.reaching import ADDRESS_VARIABLE, Listener, own_address, why_not_reached

log = logging.getLogger("boxwright.training")

SECONDS_VARIABLE = "BOXWRIGHT_MEETING_SECONDS"
DEFAULT_SECONDS, MOST_SECONDS = 600.0, 86400.0
# For all to look whether they reach all, once all are there.
LOOKING_SECONDS = 120.0
POLL = 1.0
# Looks one after the other at which a machine that waits does not reach the first one, until the call has ended for it.
_MISSES = 3


class MissingMachineError(StorageError):
    """Not all machines of a training came, or not all reach each other."""


@dataclass(frozen=True)
class Generation:
    """Machines that have met.

    Attributes:
        number: of the generation.
        addresses: `host:port` of each, by rank.
        rank: that of this one; 0 is the first machine.
    """

    number: int
    addresses: tuple[str, ...]
    rank: int

    def tf_config(self) -> str:
        """The value of `TF_CONFIG` on this machine."""
        return tf_config(self.addresses, self.rank)


def tf_config(addresses: Sequence[str], rank: int) -> str:
    """What TensorFlow reads of machines that train together.

    Args:
        addresses: `host:port` of each, in the order that is the same on all.
        rank: place of this one among them.
    """
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": rank}})


def meeting_seconds() -> float:
    """Seconds for which the first machine waits for the others: `BOXWRIGHT_MEETING_SECONDS`.

    Raises:
        UsageError: it is not a number of seconds.
    """
    text = os.environ.get(SECONDS_VARIABLE) or str(DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_SECONDS:
        raise UsageError(f"{SECONDS_VARIABLE}={text!a}: expected a number of seconds, at most {MOST_SECONDS:g}")
    return seconds


def gather(place: MeetingPlace, machines: int, toward: str) -> Generation:
    """Calls the other machines, as the first one, and waits until all can begin.

    Args:
        place: where they meet; no other process calls there.
        machines: how many train, this one counted.
        toward: the host of a server that all of them reach.

    Raises:
        MissingMachineError: naming who did not come, and who does not reach whom.
        UsageError: this machine's address or port cannot be used.
    """
    return _Meeting(place, machines, toward).hold()


class _Meeting:
    """One call of the first machine."""

    def __init__(self, place: MeetingPlace, machines: int, toward: str) -> None:
        self._place, self._machines, self._toward = place, machines, toward
        before = place.find(Call)
        self._number = before.generation + 1 if before else 1
        self._word = uuid.uuid4().hex
        self._seconds = meeting_seconds()

    def hold(self) -> Generation:
        host, port = own_address(self._toward)
        with Listener(port, self._word) as listener:
            call = Call(
                generation=self._number,
                address=f"{host}:{listener.port}",
                word=self._word,
                seconds=self._seconds + LOOKING_SECONDS,
            )
            self._place.put(call)
            log.info(
                "training_machines=%d: calling the others from %s, as generation %d, for %.0f s",
                self._machines, call.address, self._number, self._seconds,
            )  # fmt: skip
            there = self._all_there()
            roster = Roster(
                addresses=(call.address, *(there[rank].address for rank in sorted(there))),
                words=(self._word, *(there[rank].word for rank in sorted(there))),
            )
            self._place.put(roster, self._number)
            self._all_reach_all(there)
        self._place.put(Start(), self._number)
        log.info("generation %d begins: %s", self._number, ", ".join(roster.addresses))
        return Generation(self._number, roster.addresses, 0)

    def _all_there(self) -> dict[int, Arrival]:
        """The others by rank, each of which this machine reaches, and reaches this machine."""
        deadline = time.monotonic() + self._seconds
        there: dict[int, Arrival] = {}
        while True:
            absent: dict[int, str] = {}
            for rank in range(1, self._machines):
                arrival = self._place.find(Arrival, self._number, rank)
                if problem := self._problem(arrival):
                    absent[rank] = problem
                elif arrival is not None and there.get(rank) != arrival:
                    there[rank] = arrival
                    log.info("machine %d is there: %s at %s", rank, arrival.host, arrival.address)
            if not absent:
                return there
            if time.monotonic() > deadline:
                raise MissingMachineError(self._who_is_missing(absent))
            time.sleep(POLL)

    def _problem(self, arrival: Arrival | None) -> str:
        if arrival is None or arrival.call != self._word:
            return (
                "did not come: no worker took its task (too few slots, no worker on its queue, or the task has ended)"
            )
        name = f"({arrival.host}, {arrival.address})"
        if arrival.unreached:
            return f"{name} does not reach this machine: {arrival.unreached}"
        if reason := why_not_reached(arrival.address, arrival.word):
            return f"{name} came, and is not reached from this machine: {reason}"
        return ""

    def _who_is_missing(self, absent: Mapping[int, str]) -> str:
        told = [f"machine {rank} {problem}{self._fault_before(rank)}" for rank, problem in absent.items()]
        return _missing(self._machines, self._seconds, told)

    def _fault_before(self, rank: int) -> str:
        fault = self._place.find(Fault, self._number - 1, rank) if self._number > 1 else None
        return f"; generation {self._number - 1} ended there with: {fault.message}" if fault else ""

    def _all_reach_all(self, there: Mapping[int, Arrival]) -> None:
        deadline = time.monotonic() + LOOKING_SECONDS
        while True:
            told = []
            for rank, arrival in there.items():
                looked = self._place.find(Looked, self._number, rank)
                name = f"machine {rank} ({arrival.host}, {arrival.address})"
                if looked is None or looked.word != arrival.word:
                    told.append(f"{name} was there, and was lost while the machines met")
                told += [
                    f"{name} does not reach machine {other} ({there[other].host}, {there[other].address}): {reason}"
                    for other, reason in (looked.unreached if looked else {}).items()
                ]
            if not told:
                return
            if time.monotonic() > deadline:
                raise MissingMachineError(_missing(self._machines, LOOKING_SECONDS, told))
            time.sleep(POLL)


def _missing(machines: int, seconds: float, told: Sequence[str]) -> str:
    return (
        f"training_machines={machines}: not all were there within {seconds:.0f} s: {'; '.join(told)}. Give pool and "
        f"workers a slot for each, open the ports between them (or set {ADDRESS_VARIABLE}=HOST:PORT on each), or set "
        f"{SECONDS_VARIABLE} to more"
    )


def join(place: MeetingPlace, rank: int) -> Generation | None:
    """Answers the first machine's call, as another one, and waits until all can begin.

    Args:
        place: where they meet.
        rank: of this machine, from 1 on.

    Returns:
        The machines; None where there is no call, or it has ended meanwhile: it may be asked again later.

    Raises:
        UsageError: this machine's address or port cannot be used.
    """
    call = place.find(Call)
    if call is None:
        log.info("the first machine has not called yet")
        return None
    host, port = own_address(call.address.rpartition(":")[0])
    word = uuid.uuid4().hex
    with Listener(port, word) as listener:
        answer = _Answer(place, call)
        address = f"{host}:{listener.port}"
        unreached = why_not_reached(call.address, call.word)
        arrival = Arrival(call=call.word, host=socket.gethostname(), address=address, word=word, unreached=unreached)
        place.put(arrival, call.generation, rank)
        if unreached:
            log.info("generation %d is over, or its first machine not reached: %s", call.generation, unreached)
            return None
        log.info("machine %d, at %s: waiting for the start of generation %d", rank, address, call.generation)
        roster = answer.wait_for(Roster)
        if roster is None or roster.words[rank : rank + 1] != (word,):
            log.info("generation %d goes on without this process", call.generation)
            return None
        place.put(Looked(word=word, unreached=_unreached(roster, rank)), call.generation, rank)
        if answer.wait_for(Start) is None:
            log.info("generation %d does not begin", call.generation)
            return None
    return Generation(call.generation, roster.addresses, rank)


def _unreached(roster: Roster, rank: int) -> dict[int, str]:
    others = [other for other in range(1, len(roster.addresses)) if other != rank]
    reasons = {other: why_not_reached(roster.addresses[other], roster.words[other]) for other in others}
    return {other: reason for other, reason in reasons.items() if reason}


class _Answer:
    """A machine that waits for what the first one says, for as long as that one is there."""

    def __init__(self, place: MeetingPlace, call: Call) -> None:
        self._place, self._call = place, call
        self._deadline = time.monotonic() + call.seconds

    def wait_for(self, kind: type[Record]) -> Record | None:
        """What it says; None where it is gone, or hangs."""
        misses = 0
        while True:
            if found := self._place.find(kind, self._call.generation):
                return found
            # A first machine that begins closes its port, too: its word is looked for once more.
            if misses >= _MISSES or time.monotonic() > self._deadline:
                return None
            misses = misses + 1 if why_not_reached(self._call.address, self._call.word) else 0
            time.sleep(POLL)
