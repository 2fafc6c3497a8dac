"""The tasks that check a dataset's images before it is put together, where an administrator has them divided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Variable

from boxwright_airflow.allowed import limited
from boxwright_airflow.connection import lent_credentials
from boxwright_airflow.operators import airflow_errors, resolve_run

if TYPE_CHECKING:
    from airflow.sdk import Context

PARTS_VARIABLE = "boxwright_download_parts"
_MOST = 256


def download_parts() -> int:
    """The number of parts that the images of a run are divided into, by the Airflow Variable of that name; 1 if unset.

    Raises:
        ValueError: it is no such number; Airflow shows it as the DAG's import error.
    """
    text = str(Variable.get(PARTS_VARIABLE, default=None) or "1").strip()
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST):
        raise ValueError(
            f"the Airflow Variable {PARTS_VARIABLE} is {text!r}; expected a whole number from 1 to {_MOST}: of the "
            "workers that fetch and check images at the same time"
        )
    return int(text)


class CheckImagesOperator(BaseOperator):
    """Fetches and checks one part of a run's images, and leaves for the download what it found.

    Args:
        part: from 0 on.
        parts: into which the dataset is divided.
        kwargs: what every operator takes.
    """

    template_fields: Sequence[str] = ("part",)
    ui_color = "#e8f1ee"

    def __init__(self, *, part: int, parts: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part, self.parts = part, parts

    def execute(self, context: Context) -> int:
        """Checks the images; how many they were."""
        # Loads TFX: no process that only parses the DAG may pay for that.
        from boxwright.pipeline import check_images

        with airflow_errors(context):
            config, run = resolve_run(context)
            with limited(), lent_credentials(config.storage):
                return check_images(config, run, int(self.part), self.parts)
