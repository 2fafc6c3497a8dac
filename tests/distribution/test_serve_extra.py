"""`pip install boxwright[serve]` into an empty environment serves a model, without what trains and schedules."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from bare_env import REPOSITORY, environment
from finder import LABELS, encoded, scene, write_facts
from served import serving

ABSENT = ("airflow", "tfx", "apache_beam", "great_expectations", "mlflow", "ml_metadata")


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel with its extra, at the versions of the lock."""
    return environment(tmp_path_factory.mktemp("bare"), [f"boxwright[serve] @ {wheel.as_uri()}"])


def test_the_wheel_is_whole(wheel: Path) -> None:
    assert wheel.name.startswith("boxwright-0.2.0.dev0-")
    inside = set(zipfile.ZipFile(wheel).namelist())
    for root in (REPOSITORY / "components", REPOSITORY / "plugins"):
        for folder in ("boxwright", "boxwright_airflow"):
            paths = [path for path in root.joinpath(folder).rglob("*") if path.is_file() and path.suffix != ".pyc"]
            missing = {path.relative_to(root).as_posix() for path in paths} - inside
            assert missing == set()
    assert {"boxwright/py.typed", "boxwright/storage/__init__.pyi"} <= inside
    assert any(name.endswith("/run.html") for name in inside)
    assert {name.split("/")[0] for name in inside if ".dist-info" not in name} == {"boxwright", "boxwright_airflow"}


def test_it_has_not_what_trains_and_schedules(bare: Path) -> None:
    code = f"import importlib.util, json; print(json.dumps([n for n in {ABSENT} if importlib.util.find_spec(n)]))"
    done = subprocess.run([bare, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the catalogue, untrained: the environment has to bring all that it is built from."""
    from boxwright.model.store import ModelCard, build_detector, save_detector
    from boxwright.packaging.sample import Sample

    folder = tmp_path_factory.mktemp("model")
    card = ModelCard(model_id="dfine-nano", image_size=128, classes=LABELS, category_ids=(7, 3))
    save_detector(build_detector(card), card, folder)
    write_facts(folder, card=card.model_dump())
    Sample(image=encoded(scene()), width=200, height=100, detections=()).write(folder)
    return folder


def test_predict_looks_at_images(bare: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.jpg").write_bytes(encoded(scene()))
    command = [bare.parent / "boxwright", "predict", "--model", model, "--threshold", "0", "--json", "--draw", "drawn"]
    done = subprocess.run(
        [*command, "scene.jpg"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert {found["label"] for found in json.loads(done.stdout)["detections"]} <= set(LABELS)
    assert (tmp_path / "drawn" / "scene.png").exists()


def test_serve_answers_over_http(bare: Path, model: Path) -> None:
    with (
        serving("--model", str(model), python=str(bare), environment={"PYTHONPATH": ""}) as served,
        served.client() as client,
    ):
        answer = client.post("/invocations", content=encoded(scene()), headers={"Content-Type": "image/jpeg"})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"normalized_boxes", "classes", "scores"}
        assert client.get("/metrics").status_code == 200
