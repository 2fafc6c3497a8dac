"""All checks, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from boxwright.airflow_api import AirflowClient
from boxwright.config import Settings
from boxwright.doctor.airflow_server import gpu_slots, look_at_airflow
from boxwright.doctor.airflow_settings import airflow_values, is_celery, look_at_settings
from boxwright.doctor.broker import look_at_broker, look_at_workers
from boxwright.doctor.finding import Finding, looked_at, of_error
from boxwright.doctor.machine import look_at_machine
from boxwright.doctor.stores import look_at_stores
from boxwright.errors import BoxwrightError


def examine(
    settings: Settings, find_airflow: Callable[[], AirflowClient | None], uris: tuple[str, ...] = ()
) -> Iterator[Finding]:
    """Checks all that runs need of this machine, in the environment of this process.

    Args:
        settings: of this process.
        find_airflow: gives a client of the Airflow that runs are started in; None where none is known.
        uris: `s3://` prefixes that have to be written besides.
    """
    yield from look_at_machine(settings)
    yield from look_at_stores(settings, uris)
    airflow = None
    try:
        airflow = find_airflow()
    except BoxwrightError as error:
        yield of_error("Airflow", error)
    if airflow is not None:
        yield from looked_at("Airflow", lambda: look_at_airflow(airflow))
    values = airflow_values()
    if isinstance(values, Finding):
        yield values
        return
    yield from look_at_settings(values)
    if is_celery(values):
        broker = values["celery.broker_url"]
        yield from look_at_broker(broker)
        yield from look_at_workers(broker, values["operators.default_queue"], _slots(airflow))


def _slots(airflow: AirflowClient | None) -> int | None:
    try:
        return gpu_slots(airflow) if airflow is not None else None
    except BoxwrightError:
        return None
