"""A real server follows a real registry under load."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from finder import LABELS, encoded, export_finder, scene, write_facts
from served import Served, serving

from boxwright.errors import UsageError
from boxwright.packaging.archive import pack
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Release
from boxwright.serving.engine.follow import followed

SWITCHES = 20
SCORES = (0.9, 0.8, 0.7)
DEADLINE = 90
# A conversion beside clients that ask without a pause.
CONVERTED = 400


class Models:
    """Versions of one model whose scores tell them apart; the last two are bad."""

    def __init__(self, folder: Path) -> None:
        self.tracking_uri = f"sqlite:///{folder / 'mlflow.sqlite'}"
        self.registry = open_registry(self.tracking_uri)
        self.folder = folder
        for number, score in enumerate(SCORES, start=1):
            self.add(number, self._archive(number, score=score))
        self.add(len(SCORES) + 1, self._archive(len(SCORES) + 1, nan=True))
        broken = folder / "broken.tar.gz"
        whole = (folder / "1.tar.gz").read_bytes()
        broken.write_bytes(whole[: len(whole) // 2])
        self.add(len(SCORES) + 2, broken)

    def _archive(self, number: int, score: float = 0.5, nan: bool = False) -> Path:
        content = self.folder / f"model-{number}"
        content.mkdir()
        export_finder(content, score, nan)
        write_facts(content)
        pack(content, self.folder / f"{number}.tar.gz")
        shutil.rmtree(content)
        return self.folder / f"{number}.tar.gz"

    def add(self, number: int, archive: Path) -> None:
        # Falling APs: the first stays champion until the test says otherwise.
        release = Release(
            model_name="detector",
            run_id=f"run-{number}",
            archive_uri=str(archive),
            as_of=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
            metrics={"AP": 0.9 - number / 10},
            fingerprint="sha256:ab",
            parent=None,
            model_id="tiny",
            classes=list(LABELS),
            config_json="{}",
            code_version="0",
            pictures=[],
        )
        assert self.registry.register(release).version == number

    def crown(self, number: int) -> None:
        from mlflow import MlflowClient

        # What is not accepted, or broken, no promotion of ours takes.
        MlflowClient(self.tracking_uri).set_registered_model_alias("detector", "champion", str(number))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("follow"))


@pytest.fixture(scope="module")
def following(models: Models) -> Iterator[Served]:
    environment = {"MLFLOW_TRACKING_URI": models.tracking_uri}
    settings = ("--follow", "--set", "follow_seconds=0.1")
    with serving("--model", "models:/detector@champion", *settings, environment=environment) as served:
        yield served


class Load:
    """Clients that ask without a pause, and remember every answer."""

    def __init__(self, served: Served, clients: int = 3) -> None:
        self.served, self.failures, self.answers = served, [], Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        headers = {"Content-Type": "application/x-image"}
        with self.served.client() as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/invocations", content=encoded(scene()), headers=headers)
                    answer.raise_for_status()
                    self.answers[answer.headers["X-Model"], answer.json()["scores"][0]] += 1
                except (httpx.HTTPError, LookupError) as error:
                    self.failures.append(error)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def wait_for(served: Served, reference: str, seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    with served.client() as client:
        while client.get("/model").json()["reference"] != reference:
            assert time.monotonic() < deadline, "".join(served.log[-5:])
            time.sleep(0.02)


def test_the_champion_is_switched_under_load_without_a_failed_request(following: Served, models: Models) -> None:
    wait_for(following, "models:/detector/1")
    with Load(following) as load:
        for turn in range(1, SWITCHES + 1):
            number = turn % len(SCORES) + 1
            models.crown(number)
            wait_for(following, f"models:/detector/{number}")
    assert load.failures == []
    # Each answer is of the model that it names, and all of them answered.
    assert set(load.answers) == {(f"models:/detector/{i}", score) for i, score in enumerate(SCORES, start=1)}
    with following.client() as client:
        told = client.get("/metrics").text
    assert f'boxwright_model_switches_total{{outcome="taken"}} {SWITCHES}.0' in told
    assert told.count("\nboxwright_model{") == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [(len(SCORES) + 1, "not finite"), (len(SCORES) + 2, "not a complete .tar.gz")],
    ids=["nan", "truncated"],
)
def test_a_bad_champion_is_refused_once_and_the_old_one_stays(
    following: Served, models: Models, bad: int, why: str
) -> None:
    models.crown(1)
    wait_for(following, "models:/detector/1")
    with Load(following) as load:
        models.crown(bad)
        assert following.said(f"models:/detector/{bad} is refused", DEADLINE)
        time.sleep(1)
    assert load.failures == []
    assert set(load.answers) == {("models:/detector/1", SCORES[0])}
    told = [line for line in following.log if f"models:/detector/{bad} is refused" in line]
    assert len(told) == 1 and why in told[0] and "models:/detector/1 stays in use" in told[0]
    models.crown(2)
    wait_for(following, "models:/detector/2")


def test_in_litert_a_champion_is_converted_and_switched_under_load(models: Models, tmp_path: Path) -> None:
    models.crown(1)
    environment = {"MLFLOW_TRACKING_URI": models.tracking_uri, "BOXWRIGHT_HOME": str(tmp_path)}
    settings = ("--follow", "--set", "follow_seconds=0.1", "--runtime", "litert", "--threads", "1")
    with serving("--model", "models:/detector@champion", *settings, environment=environment) as served:
        with Load(served) as load:
            models.crown(2)
            wait_for(served, "models:/detector/2", CONVERTED)
            for turn in range(1, SWITCHES + 1):
                models.crown(turn % 2 + 1)
                wait_for(served, f"models:/detector/{turn % 2 + 1}")
            models.crown(len(SCORES) + 1)
            assert served.said(f"models:/detector/{len(SCORES) + 1} is refused", CONVERTED)
        assert "libtensorflow_cc" not in Path(f"/proc/{served.process.pid}/maps").read_text()
    assert load.failures == []
    # Within what a rounded pixel changes.
    assert {(model, round(score, 2)) for model, score in load.answers} == {
        (f"models:/detector/{i}", score) for i, score in enumerate(SCORES[:2], start=1)
    }
    (told,) = [line for line in served.log if "is refused" in line]
    assert "not finite" in told and "models:/detector/1 stays in use" in told


@pytest.mark.parametrize("reference", ["models:/detector/3", "s3://bucket/model.tar.gz", "/models/detector@champion"])
def test_only_an_alias_can_be_followed(reference: str) -> None:
    with pytest.raises(UsageError, match="models:/detector@champion"):
        followed(reference)
