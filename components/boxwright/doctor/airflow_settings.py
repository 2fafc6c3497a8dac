"""Airflow's settings on this machine, where it is installed: those that a trial on several machines found necessary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from boxwright.doctor.finding import Finding, doubtful, skipped, well, wrong
from boxwright.stack import WORKER_SETTINGS

Values = Mapping[str, str]
SUBJECT = "Airflow's settings"
SECONDS = 120.0
# In a process of its own: nothing of this package loads Airflow.
_ASK = ("-m", "boxwright_airflow.configured")


@dataclass(frozen=True)
class Rule:
    """A requirement on a setting.

    Attributes:
        name: section and key.
        holds: whether a value will do.
        otherwise: what happens with another value.
        wanted: a value that will do.
        alone: whether it matters on one machine as well.
        fatal: whether tasks fail otherwise, rather than may.
    """

    name: str
    holds: Callable[[str], bool]
    otherwise: str
    wanted: str
    alone: bool = False
    fatal: bool = True


def at_least(number: float) -> Callable[[str], bool]:
    """Whether a value is a number, and that large."""

    def holds(value: str) -> bool:
        try:
            return float(value) >= number
        except ValueError:
            return False

    return holds


def _long(bytes_: int) -> Callable[[str], bool]:
    return lambda value: len(value.encode()) >= bytes_


RULES = (
    Rule("core.fernet_key", _long(44), "connections and Variables cannot be read by all", "one key, alike for all"),
    Rule("api_auth.jwt_secret", _long(32), "the API server refuses workers", "one secret, alike for all"),
    Rule("api.secret_key", _long(64), "workers' logs are refused", "64 bytes at least, alike for all", fatal=False),
    Rule(
        "core.execution_api_server_url",
        lambda value: bool(value) and "localhost" not in value,
        "a worker looks for the API server on its own machine",
        "http://API-SERVER:8080/execution/",
    ),
    Rule(
        "logging.remote_logging",
        lambda value: value.lower() == "true",
        "the logs of a worker that is gone are gone with it",
        "True, with remote_base_log_folder=s3://...",
        fatal=False,
    ),
    Rule(
        "workers.execution_api_timeout",
        at_least(30),
        "a busy API server costs a task one of its tries",
        WORKER_SETTINGS["workers.execution_api_timeout"],
        fatal=False,
    ),
    Rule(
        "core.dagbag_import_timeout",
        at_least(120),
        "on a busy machine the DAG vanishes",
        WORKER_SETTINGS["core.dagbag_import_timeout"],
        alone=True,
        fatal=False,
    ),
    Rule(
        "dag_processor.dag_file_processor_timeout",
        at_least(120),
        "on a busy machine the DAG is not read anew",
        WORKER_SETTINGS["dag_processor.dag_file_processor_timeout"],
        alone=True,
        fatal=False,
    ),
    Rule(
        "celery.operation_timeout",
        at_least(10),
        "on a busy machine tasks are not handed out",
        WORKER_SETTINGS["celery.operation_timeout"],
        fatal=False,
    ),
    Rule(
        "celery_broker_transport_options.visibility_timeout",
        at_least(86400 * 7),
        "a training that takes longer (a day, unset) is given to a second worker, and ended by that",
        WORKER_SETTINGS["celery_broker_transport_options.visibility_timeout"],
        fatal=False,
    ),
    Rule(
        "scheduler.num_stuck_in_queued_retries",
        at_least(100),
        "a task that waits longer than half an hour (unset) for a worker whose places are taken, fails",
        WORKER_SETTINGS["scheduler.num_stuck_in_queued_retries"],
        fatal=False,
    ),
)
_OTHERS = ("core.executor", "celery.broker_url", "operators.default_queue")


def read_settings(names: tuple[str, ...]) -> dict[str, str] | None:
    """Airflow's settings by section and key, as Airflow itself reads them; None where it does not answer."""
    done = subprocess.run([sys.executable, "-P", *_ASK, *names], capture_output=True, text=True, timeout=SECONDS)
    try:
        found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return None
    return found


def airflow_values() -> dict[str, str] | Finding:
    """The settings that the rules are about, or a finding that says why they are not known."""
    if find_spec("airflow") is None:
        return skipped(SUBJECT, "Airflow is not installed here")
    if not any(name.startswith("AIRFLOW_") for name in os.environ):
        return skipped(SUBJECT, "no AIRFLOW_ variable is set here: run it in the environment of Airflow's own parts")
    try:
        values = read_settings((*(rule.name for rule in RULES), *_OTHERS))
    except subprocess.TimeoutExpired:
        values = None
    if values is None:
        return wrong(SUBJECT, "Airflow does not say what they are", "`airflow config list` tells why")
    return values


def look_at_settings(values: Values) -> Iterator[Finding]:
    """Checks Airflow's settings against the rules."""
    several = is_celery(values)
    problems = 0
    for rule in RULES:
        if not (several or rule.alone) or rule.holds(values[rule.name]):
            continue
        problems += 1
        section, _, key = rule.name.partition(".")
        variable = f"AIRFLOW__{section.upper()}__{key.upper()}"
        kind = wrong if rule.fatal else doubtful
        # The value itself may be a secret.
        yield kind(f"{SUBJECT}: {rule.name}", rule.otherwise, f"set {variable} to {rule.wanted}")
    if not problems:
        yield well(
            SUBJECT, f"{values['core.executor']}: as several machines need them" if several else "as one needs them"
        )


def is_celery(values: Values) -> bool:
    """Whether tasks go to workers by Celery."""
    return "CeleryExecutor" in values["core.executor"]
