"""Makes Boxwright known to Airflow."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from boxwright_airflow.links import URL_PREFIX, TrainingLink, ValidationReportLink, VersionLink
from boxwright_airflow.pages.app import app, views


class BoxwrightPlugin(AirflowPlugin):
    """Puts `plugins/` on Airflow's path, so that DAGs can import `boxwright_airflow`, and adds its pages."""

    name = "boxwright"
    fastapi_apps: ClassVar[list[Any]] = [{"app": app, "url_prefix": URL_PREFIX, "name": "Boxwright"}]
    external_views: ClassVar[list[Any]] = views()
    operator_extra_links: ClassVar[list[Any]] = [ValidationReportLink(), VersionLink(), TrainingLink()]
