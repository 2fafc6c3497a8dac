"""Training as one of several machines that have met: they end together, and say what ended them."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from boxwright.errors import BoxwrightError, StorageError, TrainingError
from boxwright.quiet import quieten_loggers
from boxwright.training.meeting import Generation
from boxwright.training.meeting_records import Fault, MeetingPlace

log = logging.getLogger("boxwright.training")

_TF_CONFIG = "TF_CONFIG"
_ABORTED = "Collective ops is aborted by: "
# From the start of a generation until TensorFlow has connected all machines; by itself it waits for an hour.
CONNECT_SECONDS = 300.0


class LostMachineError(StorageError):
    """A machine that trained with this one is gone, and with it the generation."""


@contextmanager
def together(place: MeetingPlace, generation: Generation) -> Iterator[None]:
    """Has TensorFlow train on the machines of a generation while the block lasts.

    What fails here by itself is left at the meeting place: the other machines see only that this one is gone.

    Raises:
        LostMachineError: another machine is gone.
        TrainingError: another machine is gone, by what will end it again.
        BoxwrightError: what the block raised.
    """
    quieten_loggers(["tensorflow"])
    os.environ[_TF_CONFIG] = generation.tf_config()
    _limit_connecting()
    try:
        yield
    except Exception as error:
        if _is_loss(error):
            raise _loss(place, generation, error) from None
        with suppress(BoxwrightError):
            message = str(error) if isinstance(error, BoxwrightError) else f"{type(error).__name__}: {error}"
            fault = Fault(message=message[:2000], retryable=getattr(error, "retryable", True))
            place.put(fault, generation.number, generation.rank)
        raise
    finally:
        note_connected()
        os.environ.pop(_TF_CONFIG)


def load_tensorflow() -> None:
    """Loads what takes long, before the machines meet.

    While TensorFlow connects them, no other thread of a process runs, the one that renews the step's lease among them.
    """
    for name in ("keras", "boxwright.training.devices"):
        import_module(name)


def _limit_connecting() -> None:
    """Has the system end this process (SIGALRM) where TensorFlow does not connect the machines in time.

    That works where nothing in Python would: TensorFlow waits without letting it run. A limit that somebody else has
    set stays.
    """
    if threading.current_thread() is threading.main_thread() and not any(signal.getitimer(signal.ITIMER_REAL)):
        log.info("TensorFlow has %.0f s to connect the machines; else the system ends this process", CONNECT_SECONDS)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, CONNECT_SECONDS)


def note_connected() -> None:
    """Is called when TensorFlow has connected all machines: from then on it sees by itself when one is lost."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _is_loss(error: Exception) -> bool:
    """Whether TensorFlow gave up a connection to another machine."""
    import tensorflow as tf

    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)
    # What ended another machine may come with that one's kind of error.
    return isinstance(error, lost) or (isinstance(error, tf.errors.OpError) and _ABORTED in str(error))


def _loss(place: MeetingPlace, generation: Generation, error: Exception) -> BoxwrightError:
    """The loss of another machine as an error, with what that one has left word of."""
    faults = {}
    for rank in range(len(generation.addresses)):
        with suppress(BoxwrightError):
            if rank != generation.rank and (fault := place.find(Fault, generation.number, rank)):
                faults[rank] = fault
    reasons = "; ".join(f"machine {rank} ended with: {fault.message}" for rank, fault in faults.items())
    # TensorFlow says first which of its functions failed, and last what its libraries know.
    _, _, cause = str(error).partition(_ABORTED)
    said = reasons or " ".join((cause or str(error)).partition("Additional GRPC")[0].split())[:200]
    told = f"generation {generation.number} of {len(generation.addresses)} machines ends, since one of them was lost"
    if not all(fault.retryable for fault in faults.values()):
        return TrainingError(f"{told}: {said}")
    return LostMachineError(f"{told} ({said}); the next one goes on after the last whole epoch")
