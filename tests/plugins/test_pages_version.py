"""A version's page: what it shows of the run's results, and what it says where they are missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PASSWORD, Postgres
from waiting import wait_for

Make = Callable[..., Any]
HOSTILE = "<img src=x onerror=alert(1)>.jpg"


def test_the_page_shows_all_of_a_version(visit: Make, make_version: Make) -> None:
    make_version("run-1", "2026-03-01", 0.4)
    make_version("run-2", "2026-03-02", 0.5, parent="models:/detector/1")
    make_version("run-3", "2026-03-03", 0.45, parent="models:/detector/2")
    text = visit("viewer").get("/models/detector/3").text
    for shown in (
        "detector, version 3", "0.450", "boxwright serve models:/detector/3", "gallery/0.jpg", "shared.jpg",
        "3 of 4 right, 1 missed", "The model passes its gate", "learning_rate", "Id in the dataset", "16 training",
        'src="/boxwright/models/detector/3/report" sandbox', "Ancestor 2", "Compare with the champion",
        'href="http://airflow.example/dags/object_detection_training/runs/run-3" data-airflow',
    ):  # fmt: skip
        assert shown in text, shown
    assert "style=" not in text and "onclick" not in text and "<script>" not in text
    assert "cannot be read" not in text


def test_the_formats_stand_beside_the_model(visit: Make, make_version: Make, tmp_path: Path) -> None:
    released = {"name": "litert:float32", "ap_difference": -0.002, "ms": 14.3, "mb": 3.6}
    make_version("run-1", formats=(released,))
    text = visit("viewer").get("/models/detector/1").text
    table = text[text.index('<h2 id="formats">') :].partition('<h2 id="labels">')[0]
    for shown in (
        "Measured on 72 test images", "the model, in TensorFlow", "66.0", "13.1", "litert:float32", "-0.0020", "14.3",
        "-0.0030 to -0.0010", "3.6", "210", "onnx:float32 is dropped: no converter &lt;reads&gt; it",
        f"{tmp_path}/run-1/output/formats/", "<code>litert-float32</code>",
    ):  # fmt: skip
        assert shown in table, shown
    assert "cannot be read" not in text
    (tmp_path / "run-1" / "output" / "formats.json").write_text("[]")
    make_version("run-2")
    assert 'id="formats"' not in visit("viewer").get("/models/detector/2").text, "nobody looked for any"


def test_only_editors_are_offered_changes(visit: Make, make_version: Make) -> None:
    for number, ap in enumerate((0.4, 0.5, 0.3), start=1):
        make_version(f"run-{number}", f"2026-03-0{number}", ap)
    assert "/promote" not in visit("viewer").get("/models/detector/3").text
    assert "/models/detector/3/promote" in visit("editor").get("/models/detector/3").text
    champion = visit("editor").get("/models/detector/2").text
    assert "Roll back to version 1" in champion and "/promote" not in champion


def test_report_picture_and_archive_come_from_the_runs_folder(visit: Make, make_version: Make) -> None:
    make_version("run-1")
    client = visit("viewer")
    report = client.get("/models/detector/1/report")
    assert "<h1>Evaluation</h1>" in report.text and "sandbox" in report.headers["content-security-policy"]
    picture = client.get("/models/detector/1/gallery/1.jpg")
    assert picture.content == b"\xff\xd8\xff picture" and picture.headers["content-type"] == "image/jpeg"
    archive = client.get("/models/detector/1/archive")
    assert archive.content == b"an archive"
    assert 'filename="detector-1.tar.gz"' in archive.headers["content-disposition"]


def _linked(folder: Path) -> str:
    """A run's folder within the allowed ones, whose files are links to those of the machine."""
    folder.mkdir(parents=True)
    (folder / "gallery").mkdir()
    for name in ("model.tar.gz", "evaluation.html", "metrics.json", "gallery.json", "gallery/1.jpg"):
        (folder / name).symlink_to("/etc/passwd")
    return f"{folder}/model.tar.gz"


@pytest.mark.parametrize("place", ["links", "another folder", "another bucket", "a server"])
def test_what_a_tag_names_elsewhere_is_not_handed_out(
    visit: Make, registry: Any, make_version: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "model.tar.gz").write_bytes(b"root:x:0:0")
    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", str(tmp_path / "allowed"))
    uris = {
        "links": _linked(tmp_path / "allowed" / "run-1" / "output"),
        "another folder": f"{elsewhere}/model.tar.gz",
        "another bucket": "s3://of-others/run-1/output/model.tar.gz",
        "a server": f"file://{elsewhere}/model.tar.gz",
    }
    make_version("run-1", archive_uri=uris[place])
    client = visit("viewer")
    for path in ("archive", "report", "gallery/1.jpg"):
        answer = client.get(f"/models/detector/1/{path}", follow_redirects=False)
        assert answer.status_code in (403, 404), path
        assert "root:" not in answer.text
    assert "root:" not in client.get("/models/detector/1").text


def test_an_archive_in_a_bucket_is_a_link_that_expires(
    visit: Make, make_version: Make, s3: Any, tmp_path: Path
) -> None:
    import httpx

    from boxwright.storage import upload_file

    uri = f"{s3.make_bucket('archives')}/runs/run-1/output/model.tar.gz"
    (tmp_path / "model.tar.gz").write_bytes(b"an archive in a bucket")
    upload_file(tmp_path / "model.tar.gz", uri)
    make_version("run-1", archive_uri=uri)
    answer = visit("viewer").get("/models/detector/1/archive", follow_redirects=False)
    assert answer.status_code == 307
    link = answer.headers["location"]
    assert "X-Amz-Expires=300" in link and s3.environment["AWS_SECRET_ACCESS_KEY"] not in link
    fetched = httpx.get(link)
    assert fetched.content == b"an archive in a bucket"
    assert fetched.headers["content-disposition"] == 'attachment; filename="detector-1.tar.gz"'
    assert link not in visit("viewer").get("/models/detector/1").text


def test_what_is_missing_is_named_and_the_rest_is_shown(visit: Make, make_version: Make, tmp_path: Path) -> None:
    make_version("run-1")
    shutil.rmtree(tmp_path / "run-1")
    client = visit("viewer")
    page = client.get("/models/detector/1")
    assert page.status_code == 200 and "detector, version 1" in page.text
    assert "metrics.json cannot be read" in page.text and "run the DAG again" in page.text
    for below in ("report", "archive", "gallery/0.jpg"):
        answer = client.get(f"/models/detector/1/{below}")
        assert answer.status_code == 404, below
        assert str(tmp_path / "run-1") in answer.text


@pytest.mark.parametrize("content", ["[]", "{", "3", '{"metrics": [], "per_class": {"a": 1}, "checks": [{"name": 1}]}'])
def test_results_of_another_form_break_nothing(visit: Make, make_version: Make, tmp_path: Path, content: str) -> None:
    make_version("run-1")
    for name in ("metrics.json", "gate.json", "run.json", "gallery.json", "validation_report.json"):
        (tmp_path / "run-1" / "output" / name).write_text(content)
    assert visit("viewer").get("/models/detector/1").status_code == 200


def test_hostile_file_names_are_text(visit: Make, make_version: Make, tmp_path: Path) -> None:
    make_version("run-1")
    entry = {"picture": 0, "file": HOSTILE, "caption": "</figcaption><script>alert(1)</script>"}
    (tmp_path / "run-1" / "output" / "gallery.json").write_text(json.dumps([entry]))
    text = visit("viewer").get("/models/detector/1").text
    assert "<img src=x" not in text and "<script>alert" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in text


def test_a_tag_can_point_nowhere_but_to_results_of_runs(
    visit: Make, make_version: Make, registry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from boxwright_airflow.pages.app import build
    from boxwright_airflow.pages.registered_models import RegisteredModels, open_registered

    overrides = build().dependency_overrides
    over_rest = overrides[open_registered]()._registry
    monkeypatch.setitem(overrides, open_registered, lambda: RegisteredModels(over_rest))  # reads all for each page
    make_version("run-1")
    (tmp_path / "passwords").write_text("secret")
    client = visit("viewer")
    for uri in (str(tmp_path / "passwords"), "https://elsewhere.example/model.tar.gz", "", "model.tar.gz"):
        registry._client.set_version_tag("detector", 1, "boxwright.archive", uri)
        for below in ("", "/report", "/archive"):
            answer = client.get(f"/models/detector/1{below}")
            assert answer.status_code == (200 if below == "" else 404), (uri, below)
            assert "secret" not in answer.text


def test_unknown_versions_are_not_found_and_what_there_is_is_listed(visit: Make, make_version: Make) -> None:
    make_version("run-1")
    client = visit("viewer")
    assert "it has 1" in client.get("/models/detector/7").text
    answer = client.get("/models/unheard-of/1")
    assert answer.status_code == 404 and "registered are detector" in answer.text
    assert client.get("/models/detector/0").status_code == 422


LOCK = """
import sqlite3, sys, time
sqlite3.connect(sys.argv[1]).execute("begin exclusive")
print(flush=True)
time.sleep(60)
"""


class TestMetadata:
    """What ML Metadata has, read by another process."""

    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """With a store that has one run of one step."""
        monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
        monkeypatch.delenv("BOXWRIGHT_METADATA_URI", raising=False)
        self.fill()
        return tmp_path

    def fill(self) -> None:
        from ml_metadata.proto import metadata_store_pb2 as proto

        from boxwright.config.settings import Settings
        from boxwright.metadata.store import open_store
        from boxwright.metadata.tables import require_tables

        address = Settings.from_environment().metadata
        require_tables(address)
        store = open_store(address)
        kind = store.put_artifact_type(proto.ArtifactType(name="Dataset", properties={"images": proto.INT}))
        artifact = proto.Artifact(type_id=kind, uri="/data/1", properties={"images": proto.Value(int_value=72)})
        execution = proto.Execution(
            type_id=store.put_execution_type(proto.ExecutionType(name="download")),
            last_known_state=proto.Execution.COMPLETE,
        )
        run = proto.Context(type_id=store.put_context_type(proto.ContextType(name="pipeline_run")), name="run-1")
        node = proto.Context(
            type_id=store.put_context_type(proto.ContextType(name="node")), name="boxwright.download_dataset"
        )
        event = proto.Event(type=proto.Event.OUTPUT)
        store.put_execution(execution, [(artifact, event)], [run, node])

    def test_each_step_is_listed(self, visit: Make, make_version: Make, home: Path) -> None:
        make_version("run-1")
        text = visit("viewer").get("/models/detector/1/metadata").text
        assert "download_dataset" in text and '<dd class="any">72</dd>' in text and "/data/1" in text

    def test_a_server_is_asked_and_its_log_in_is_not_shown(
        self, visit: Make, make_version: Make, home: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
    ) -> None:
        # The file of the home has other entries, and nobody asks it.
        uri = postgres.new_database()
        monkeypatch.setenv("BOXWRIGHT_METADATA_URI", uri)
        make_version("run-1")
        assert "knows no run of that name" in visit("viewer").get("/models/detector/1/metadata").text
        self.fill()
        wait_for(
            lambda: '<dd class="any">72</dd>' in visit("viewer").get("/models/detector/1/metadata").text,
            "what was remembered is asked for again",
        )
        monkeypatch.setenv("BOXWRIGHT_METADATA_URI", uri.replace("@127", "-changed@127"))
        monkeypatch.setattr("boxwright_airflow.pages.lineage.REMEMBERED_SECONDS", 1e-3)
        answer = visit("viewer").get("/models/detector/1/metadata")
        assert answer.status_code == 503 and "password authentication failed" in answer.text
        assert "changed" not in answer.text and PASSWORD not in answer.text

    def test_a_locked_store_is_named_and_stops_nobody(
        self, visit: Make, make_version: Make, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("boxwright_airflow.pages.lineage.METADATA_SECONDS", 3.0)
        make_version("run-1")
        holder = subprocess.Popen([sys.executable, "-c", LOCK, str(home / "metadata.sqlite")], stdout=subprocess.PIPE)
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            started = time.monotonic()
            answer = visit("viewer").get("/models/detector/1/metadata")
            assert answer.status_code == 503 and "another process has locked it" in answer.text
            assert time.monotonic() - started < 60, "the wait is ours, not ML Metadata's"
            assert visit("viewer").get("/models/detector/1").status_code == 200
        finally:
            holder.kill()
            holder.wait()

    def test_no_store_is_explained(
        self, visit: Make, make_version: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "elsewhere"))
        make_version("run-1")
        answer = visit("viewer").get("/models/detector/1/metadata")
        assert answer.status_code == 503 and "BOXWRIGHT_HOME" in answer.text
        assert not (tmp_path / "elsewhere").exists()
