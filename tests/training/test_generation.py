"""What ends a generation of machines, and what each says of it; the losses themselves are real in `tests/pipeline`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from boxwright.errors import OutOfMemoryError, StorageError, TrainingError
from boxwright.training.generation import LostMachineError, together
from boxwright.training.meeting import Generation
from boxwright.training.meeting_records import Fault, MeetingPlace

ROOT = Path(__file__).resolve().parents[2]
FIRST = Generation(3, ("127.0.0.1:9", "127.0.0.1:10"), 0)
OTHER = Generation(3, FIRST.addresses, 1)


@pytest.fixture
def place(tmp_path: Path) -> MeetingPlace:
    return MeetingPlace(str(tmp_path))


def test_tensorflow_is_told_who_trains_only_while_they_do(place: MeetingPlace) -> None:
    with together(place, OTHER):
        assert os.environ["TF_CONFIG"] == OTHER.tf_config()
    assert "TF_CONFIG" not in os.environ


def test_what_fails_on_one_machine_is_told_by_those_that_lost_it(place: MeetingPlace) -> None:
    import tensorflow as tf

    with pytest.raises(OutOfMemoryError), together(place, OTHER):
        raise OutOfMemoryError("memory does not suffice")
    assert place.find(Fault, 3, 1) == Fault(message="memory does not suffice", retryable=False)
    lost = tf.errors.UnavailableError(None, None, "Collective ops is aborted by: Socket closed")
    with pytest.raises(TrainingError, match="generation 3 of 2 .* lost: machine 1 ended with: memory does not suffice"):
        with together(place, FIRST):
            raise lost
    assert place.find(Fault, 3, 0) is None, "the loss of another is no fault of its own"
    with pytest.raises(StorageError, match="reset"), together(place, OTHER):
        raise StorageError("the connection was reset")
    with pytest.raises(LostMachineError, match="machine 1 ended with: the connection was reset.; the next one goes on"):
        with together(place, FIRST):
            raise lost


@pytest.mark.parametrize(
    ("kind", "said", "is_loss"),
    [
        ("InternalError", "Collective ops is aborted by: peer Additional GRPC error information: x", True),
        ("InternalError", "cuDNN failed", False),
        ("DeadlineExceededError", "peer", True),
    ],
)
def test_an_error_of_tensorflow_is_the_loss_of_another_machine_only_where_it_says_so(
    kind: str, said: str, is_loss: bool, place: MeetingPlace
) -> None:
    import tensorflow as tf

    raised = getattr(tf.errors, kind)(None, None, said)
    with pytest.raises(LostMachineError if is_loss else type(raised)) as caught, together(place, FIRST):
        raise raised
    if is_loss:
        assert "was lost (peer); the next one" in str(caught.value)


def test_a_bug_is_told_too_and_stays_one(place: MeetingPlace) -> None:
    with pytest.raises(ZeroDivisionError), together(place, OTHER):
        raise ZeroDivisionError("division by zero")
    assert place.find(Fault, 3, 1) == Fault(message="ZeroDivisionError: division by zero", retryable=True)


def test_a_machine_that_tensorflow_never_connects_ends_the_process(tmp_path: Path) -> None:
    script = f"""
import time
import boxwright.training.generation as module
from boxwright.training.meeting import Generation
from boxwright.training.meeting_records import MeetingPlace
module.CONNECT_SECONDS = 1.0
with module.together(MeetingPlace({str(tmp_path)!r}), Generation(1, ("a:1", "b:1"), 0)):
    module.note_connected()
    time.sleep(2)
with module.together(MeetingPlace({str(tmp_path)!r}), Generation(1, ("a:1", "b:1"), 0)):
    while True:
        sum(range(1 << 40))  # as TensorFlow does, it lets no other thread run
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "components")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGALRM
