"""Runs of the DAGs that train and tune in Airflow's own tables, as far along as a test wants them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import airflow_env
import pytest

DAG_ID, TUNING = "object_detection_training", "object_detection_tuning"


@dataclass
class MadeRun:
    """A run in Airflow's database, and where its results lie."""

    run_id: str
    output: Path
    session: Any
    row: Any

    def trials(self, *states: tuple[str | None, Any]) -> None:
        """Puts a trial after the other into a state, with what it returned, as when their study is opened."""
        from airflow.models.taskinstance import TaskInstance

        one = self.row.get_task_instance("trial", session=self.session)
        task, version = self.row.get_dag().get_task("trial"), one.dag_version_id
        self.session.delete(one)
        self.session.flush()
        for number, (state, returned) in enumerate(states):
            ti = TaskInstance(task, run_id=self.run_id, state=state, map_index=number, dag_version_id=version)
            ti.start_date = datetime.now(UTC) if state else None
            self.session.add(ti)
            self.session.flush()
            if returned is not None:
                self._tell("return_value", returned, "trial", number)
        self.session.commit()

    def _tell(self, key: str, value: Any, task_id: str, map_index: int = -1) -> None:
        from airflow.models.xcom import XComModel

        XComModel.set(
            key=key, value=value, task_id=task_id, dag_id=self.row.dag_id, run_id=self.run_id, map_index=map_index,
            session=self.session,
        )  # fmt: skip

    def task(
        self,
        task_id: str,
        state: str,
        returned: Any = None,
        report: bool = False,
        error: str = "",
        exit_code: int | None = None,
    ) -> None:
        """Puts a task into a state, a minute long, with what it returned, announced and said at its end."""
        now = datetime.now(UTC)
        ti = self.row.get_task_instance(task_id, session=self.session)
        ti.state, ti.try_number = state, 1
        ti.start_date = now - timedelta(minutes=2)
        ti.end_date = None if state == "running" else now - timedelta(minutes=1)
        self.session.merge(ti)
        told = {"return_value": returned} if returned is not None else {}
        told |= {"report": str(self.output / "validation_report.html")} if report else {}
        told |= {"exit_code": exit_code} if exit_code is not None else {}
        for key, value in told.items():
            self._tell(key, value, task_id)
        if error:
            log = airflow_env.HOME / "logs" / f"dag_id={DAG_ID}" / f"run_id={self.run_id}" / f"task_id={task_id}"
            log.mkdir(parents=True)
            detail = [{"exc_type": "AirflowFailException", "exc_value": error, "frames": []}]
            event = {"timestamp": now.isoformat(), "level": "error", "event": "Task failed", "error_detail": detail}
            (log / "attempt=1.log").write_text(json.dumps(event) + "\n")
        self.session.commit()

    def machine(self, rank: int, state: str) -> None:
        """Puts one of several machines into a state."""
        from airflow.models.taskinstance import TaskInstance

        whole = self.row.get_task_instance("train_along", session=self.session)
        task = self.row.dag.get_task("train_along")
        one = TaskInstance(task, whole.dag_version_id, run_id=self.run_id, state=state, map_index=rank - 1)
        one.try_number = 1
        self.session.merge(one)
        self.session.commit()

    def set_state(self, state: str) -> None:
        self.row.state = state
        if state in ("success", "failed"):
            self.row.end_date = datetime.now(UTC)
        self.session.merge(self.row)
        self.session.commit()


@pytest.fixture(scope="session")
def written_dags(auth_manager: Any) -> dict[str, Any]:
    """The DAGs in Airflow's database, as its processor writes them, by id."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.pool import Pool
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="dags"))
        Pool.create_or_update_pool("gpu", 1, "trainings", include_deferred=False, session=session)
    bag = DagBag(dag_folder=str(airflow_env.DAGS), bundle_name="dags", bundle_path=airflow_env.DAGS)
    sync_bag_to_db(bag, "dags", None)
    with create_session() as session:
        return {name: SerializedDagModel.get(name, session=session).dag for name in (DAG_ID, TUNING)}


@pytest.fixture(scope="session")
def training_dag(written_dags: dict[str, Any]) -> Any:
    return written_dags[DAG_ID]


@pytest.fixture
def make_run(written_dags: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., MadeRun]]:
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with create_session() as session:

        def make(run_id: str, state: str = "running", dag_id: str = DAG_ID, **conf: Any) -> MadeRun:
            now = datetime.now(UTC)
            row = written_dags[dag_id].create_dagrun(
                run_id=run_id,
                run_after=now,
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState(state),
                start_date=None if state == "queued" else now - timedelta(minutes=3),
                conf=conf,
                session=session,
            )
            session.commit()
            folder = tmp_path / run_id / "output"
            folder.mkdir(parents=True)
            return MadeRun(run_id, folder, session, row)

        yield make


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('runs') / 'mlflow.sqlite'}"


@pytest.fixture
def tracking(tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An MLflow of these tests' own, which the page reads through its real server, without a network between."""
    import httpx
    from mlflow.server import app, handlers
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    from boxwright.registry.mlflow_registry import MlflowRegistry
    from boxwright.registry.rest import RestClient
    from boxwright.registry.writer_lock import WriterLock
    from boxwright_airflow.runs import training

    monkeypatch.setattr(handlers, "_tracking_store", SqlAlchemyStore(tracking_uri, str(tmp_path)))
    client = RestClient("http://localhost:5000", transport=httpx.WSGITransport(app=app))
    monkeypatch.setattr(training, "source_of", lambda uri: training.Source(MlflowRegistry(client, WriterLock(uri))))
    return tracking_uri
