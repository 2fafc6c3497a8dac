"""Fills the database of the Airflow that the environment names: users of FAB, our DAGs, runs that train and ask.

A program of its own: the tests' own process has another Airflow.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DAG_ID, RUN_ID = "object_detection_training", "walked"
# Of every user; whoever logs in has only this.
PASSWORD = "a password of the tests"
ROLES = ("Viewer", "User", "Op", "Admin")
# Of a role that some make for themselves: a look at one DAG, and it is not the one that trains.
OTHER_DAG, OF_OTHER_DAG = "object_detection_batch_inference", "OfOtherDag"
_LOOKS = ("DAG Runs", "Task Instances", "Task Logs", "XComs", "Website")


def prepare(output: Path) -> None:
    """Makes everything.

    Args:
        output: folder of the run's results, which its first task has announced.
    """
    from airflow.utils.db import initdb

    initdb()
    _add_users()
    _add_dags()
    _add_runs(output)


def _add_users() -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        role = security.add_role(OF_OTHER_DAG)
        for action, resource in (("can_read", f"DAG:{OTHER_DAG}"), *(("can_read", name) for name in _LOOKS)):
            security.add_permission_to_role(role, security.create_permission(action, resource))
        for name in (*ROLES, OF_OTHER_DAG):
            user = name.lower()
            made = security.add_user(user, user, user, f"{user}@airflow.example", security.find_role(name), PASSWORD)
            assert made, user


def _add_dags() -> None:
    from airflow.configuration import conf
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    folder = conf.get_mandatory_value("core", "dags_folder")
    with create_session() as session:
        session.merge(DagBundleModel(name="dags-folder"))
    sync_bag_to_db(DagBag(dag_folder=folder, bundle_name="dags-folder", bundle_path=Path(folder)), "dags-folder", None)


def _add_runs(output: Path) -> None:
    """One that trains, and for each role one whose model waits for a person's word."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        dag = SerializedDagModel.get(DAG_ID, session=session).dag
        run = _run(dag, RUN_ID, session, validate_annotations="success", fine_tune="running")
        where = {"task_id": "validate_annotations", "dag_id": DAG_ID, "run_id": RUN_ID}
        XComModel.set(key="report", value=str(output / "validation_report.html"), session=session, **where)
        for role in ROLES:
            run = _run(dag, asking(role), session, approve="awaiting_input")
            asked = run.get_task_instance("approve", session=session)
            session.add(HITLDetail(ti_id=asked.id, options=["Approve", "Reject"], subject="Register this model?"))


def asking(role: str) -> str:
    """The id of the run whose question somebody of a role answers."""
    return f"asks-{role.lower()}"


def _run(dag: Any, run_id: str, session: Any, **states: str) -> Any:
    """A run, with the states of its tasks by their names."""
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    now = datetime.now(UTC)
    run = dag.create_dagrun(
        run_id=run_id, run_after=now, start_date=now, run_type=DagRunType.MANUAL, state=DagRunState.RUNNING,
        triggered_by=DagRunTriggeredByType.TEST, conf={"training": "s3://data/cells"}, session=session,
    )  # fmt: skip
    for task_id, state in states.items():
        ti = run.get_task_instance(task_id, session=session)
        ti.state, ti.start_date, ti.try_number = state, now, 1
        session.merge(ti)
    return run


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
