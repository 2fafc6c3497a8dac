"""The pages in Airflow's own UI, over real runs: sound, watched live, promoted, tried, and with parts of it missing."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from live_runs import MODEL, SETTINGS, log_in
from pages import Visit, keep, out_of_reach, serious_findings, viewer_cookie, visiting
from served import serving

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.dataset.sample.generate import generate_sample
from boxwright.stack import manager
from boxwright.stack.processes import ProcessTable

if TYPE_CHECKING:
    from conftest import LiveStack

RUN = f"/dags/{DAG_ID}/runs"
WATCHED = "by-form"
# Milliseconds in which a step of a run has to end, on a machine that does much else.
PATIENCE = 1_800_000
# Name in Airflow's form, section, value.
FORM = {
    "Data": ("training", "test", "output"),
    "Model": ("model_id", "model_name", "seed_mode"),
    "Hyperparameters: basic": ("epochs", "image_size", "augmentation"),
    "Quality gate": ("gate_min_ap50",),
}
CHOICES = ("model_id", "seed_mode", "augmentation")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a picture of each page is kept: `BOXWRIGHT_SCREENSHOTS`, or a folder of the test session."""
    return Path(os.environ.get("BOXWRIGHT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))


@pytest.fixture
def visit(browser: Any, ready: LiveStack) -> Iterator[Visit]:
    with visiting(browser, ready.stack, log_in(ready.stack)) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(ready: LiveStack, second: dict[str, str], bad: dict[str, str]) -> dict[str, str]:
    """Address of every page by a name for its picture."""
    (version,) = [one for one in ready.registry.versions(MODEL) if one.run_id == "live-second"]
    number, fingerprint = version.version, quote(version.tags["boxwright.fingerprint"])
    return {
        "models": "/models",
        "version": f"/models/{MODEL}/{number}",
        "promote": f"/models/{MODEL}/{number}/promote",
        "compare": f"/compare?v={MODEL}/1&v={MODEL}/{number}",
        "datasets": "/datasets",
        "dataset": f"/datasets/{fingerprint}",
        "try": "/try",
        "try-version": f"/try/{MODEL}/{number}",
        "run": f"/runs/{DAG_ID}/live-second",
        "run-failed": f"/runs/{DAG_ID}/live-bad",
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_sound(browser: Any, ready: LiveStack, pages: dict[str, str], pictures: Path, theme: str) -> None:
    with visiting(browser, ready.stack, log_in(ready.stack), theme) as visit:
        faults = {}
        for name, path in pages.items():
            page = visit.open(path)
            assert page.evaluate("document.documentElement.dataset.theme") == theme
            keep(visit, pictures, f"{name}-{theme}")
            found = [*visit.problems, *serious_findings(page)]
            found += [f"not reached with Tab: {html}" for html in out_of_reach(page)] if theme == "light" else []
            faults.update({name: found} if found else {})
            visit.problems.clear()
    assert faults == {}


def test_airflow_shows_them_in_its_frame(
    browser: Any, ready: LiveStack, second: dict[str, str], pictures: Path
) -> None:
    for theme in ("light", "dark"):
        with visiting(browser, ready.stack, log_in(ready.stack), theme) as visit:
            models = visit.open_in_airflow("/plugin/models")
            models.get_by_role("link", name=MODEL, exact=False).first.wait_for()
            keep(visit, pictures, f"airflow-models-{theme}", whole=False)
            run = visit.open_in_airflow(f"{RUN}/live-second/plugin/boxwright-run")
            run.get_by_role("img", name=re.compile("Loss: training")).wait_for()
            keep(visit, pictures, f"airflow-run-{theme}", whole=False)
            assert visit.problems == []


def test_who_may_do_what(ready: LiveStack, pages: dict[str, str]) -> None:
    base = f"{ready.stack.airflow_url}/boxwright"
    viewer = httpx.Client(cookies=viewer_cookie(ready.stack), trust_env=False, timeout=60)
    same = {"Sec-Fetch-Site": "same-origin"}
    for name, path in pages.items():
        assert httpx.get(f"{base}{path}", trust_env=False).status_code == 401, name
        assert viewer.get(f"{base}{path}").status_code == (403 if name == "promote" else 200), name
    for client, status in ((viewer, 403), (httpx.Client(trust_env=False), 401)):
        assert client.post(f"{base}/models/{MODEL}/1/promote", data={}, headers=same).status_code == status
        assert (
            client.post(f"{base}/models/{MODEL}/rollback", data={"champion": "1"}, headers=same).status_code == status
        )
    assert httpx.post(f"{base}/try/{MODEL}/1/start", headers=same, trust_env=False).status_code == 401
    assert viewer.post(f"{base}/try/{MODEL}/1/start", headers=same).status_code == 403  # without the page's token


def test_a_failed_run_says_why(visit: Visit, bad: dict[str, str]) -> None:
    run = visit.open_in_airflow(f"{RUN}/live-bad/plugin/boxwright-run")
    alert = run.get_by_role("alert").inner_text()
    assert "validate_annotations failed:" in alert and "nowhere" in alert
    assert "file_unreadable" in run.locator("#validation").inner_text()
    assert visit.problems == []


@pytest.fixture
def sample(tmp_path: Path) -> list[Path]:
    generate_sample(tmp_path / "sample", images=10, seed=9)
    return sorted((tmp_path / "sample").rglob("*.jpg"))


def test_a_model_is_tried_on_an_image(
    visit: Visit, ready: LiveStack, second: dict[str, str], pictures: Path, sample: list[Path], tmp_path: Path
) -> None:
    page = visit.open(f"/try/{MODEL}/1")
    page.set_input_files("#file", str(sample[0]))
    page.get_by_text("Loading the model").wait_for()
    keep(visit, pictures, "try-loading")
    page.locator("#result:not([hidden])").wait_for(timeout=PATIENCE)
    counts = []
    for least in ("1", "0"):
        page.locator("#threshold").fill(least)
        counts.append(page.locator("#rows tr").count())
    assert counts[0] == 0 < counts[1] <= 100
    page.get_by_role("button", name="The model's own").click()
    keep(visit, pictures, "try-boxes")
    assert visit.problems == []

    (tmp_path / "bad.png").write_bytes(b"no image")
    page.set_input_files("#file", str(tmp_path / "bad.png"))
    page.get_by_text("not JPEG or PNG").wait_for()
    (tmp_path / "large.png").write_bytes(b"x" * 11_000_000)
    page.set_input_files("#file", str(tmp_path / "large.png"))
    page.get_by_text("at most 10 MB are looked at").wait_for()

    (server,) = [state.pid for state in manager.status(ready.settings) if state.name == "api-server"]
    family = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
    loaded = [one for one in family if "libtensorflow" in Path(f"/proc/{one.pid}/maps").read_text()]
    assert len(loaded) == 1 and "boxwright.serving.http.private_server" in loaded[0].cmdline()


def test_a_run_from_the_form_is_watched_promoted_and_served(
    visit: Visit, ready: LiveStack, second: dict[str, str], pictures: Path, sample: list[Path]
) -> None:
    _trigger_by_form(visit)
    run = visit.open_in_airflow(f"{RUN}/{WATCHED}/plugin/boxwright-run")
    # The page is never loaded again: a mark on its window stays.
    run.locator("html").evaluate("() => { window.marked = true; }")
    run.locator("#progress-text", has_text="Epoch").wait_for(timeout=PATIENCE)
    keep(visit, pictures, "airflow-run-live", whole=False)
    run.get_by_role("img", name=re.compile("Loss: training")).wait_for(timeout=PATIENCE)
    run.locator("#gate table").wait_for(timeout=PATIENCE)
    run.locator("#state[data-ended=yes]").wait_for(timeout=PATIENCE)
    assert run.locator("html").evaluate("() => window.marked")
    assert run.locator(".state").inner_text() == "success"
    assert "epochs trained" in run.locator("#progress-text").inner_text()
    report = run.frame_locator("iframe.report")
    report.locator("h1").wait_for()
    keep(visit, pictures, "airflow-run-ended", whole=False)

    run.locator("#to-version").click()
    (version,) = [one for one in ready.registry.versions(MODEL) if one.run_id == WATCHED]
    run.get_by_role("heading", name=f"{MODEL}, version {version.version}").wait_for()
    command = run.locator(".command code").first.inner_text()
    if ready.registry.aliases(MODEL)["champion"] != version.version:
        run.get_by_role("link", name="Promote to champion").click()
        run.get_by_role("button", name=f"Make version {version.version} the champion").click()
        run.get_by_text("This version is the champion now").wait_for()
    assert ready.registry.aliases(MODEL)["champion"] == version.version
    keep(visit, pictures, "airflow-version-promoted", whole=False)
    assert visit.problems == []
    _serve(command, ready, sample[0])


def _trigger_by_form(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.origin}/dags/{DAG_ID}")
    page.get_by_role("button", name=re.compile("Trigger")).first.click()
    form = page.get_by_role("dialog")
    values = {name: str(value) for name, value in SETTINGS.items()} | {"seed_mode": "pretrained", "epochs": "3"}
    for section, names in FORM.items():
        form.get_by_role("button", name=section, exact=True).click()
        for name in names:
            field = form.locator(f"[name=element_{name}]")
            if name in CHOICES:
                choice = field.locator("xpath=..").get_by_role("combobox")
                choice.click()
                choice.fill(values[name])
                choice.press("Enter")
                assert field.input_value() == values[name]
            else:
                field.fill(values[name])
    form.get_by_role("button", name="Advanced Options").click()
    form.locator("[name=dagRunId]").fill(WATCHED)
    form.get_by_role("button", name="Trigger", exact=True).click()
    form.wait_for(state="detached")


def _serve(command: str, stack: LiveStack, image: Path) -> None:
    """Runs the command that the page shows, on a free port, and asks the server for boxes."""
    program, verb, *arguments = shlex.split(command)
    assert (program, verb) == ("boxwright", "serve")
    with serving(*arguments, environment=stack.env) as served, served.client() as client:
        answer = client.post("/invocations", content=image.read_bytes(), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200 and "normalized_boxes" in answer.json()


def test_what_was_deleted_is_named(visit: Visit, ready: LiveStack, second: dict[str, str]) -> None:
    key = "runs/live-second/output/report.html"
    kept = ready.s3.get_object(Bucket="boxwright", Key=key)["Body"].read()
    ready.s3.delete_object(Bucket="boxwright", Key=key)
    try:
        page = visit.open(f"/runs/{DAG_ID}/live-second/evaluation", 404)
        assert "report.html cannot be read" in page.locator("main").inner_text()
        assert "Quality gate" in visit.open(f"/runs/{DAG_ID}/live-second").locator("main").inner_text()
    finally:
        ready.s3.put_object(Bucket="boxwright", Key=key, Body=kept)


def test_without_mlflow_airflow_works_and_the_pages_say_what_is_missing(
    visit: Visit, ready: LiveStack, pages: dict[str, str], pictures: Path
) -> None:
    ProcessTable(ready.stack.folder).stop("mlflow")
    try:
        said = visit.open(pages["models"], 503).locator("main").inner_text()
        assert ready.stack.mlflow_url in said and "start MLflow" in said
        keep(visit, pictures, "models-without-mlflow")
        run = visit.open(pages["run"])
        assert "The curves are missing" in run.locator("#training").inner_text()
        assert "passed" in run.locator("#gate").inner_text()
        keep(visit, pictures, "run-without-mlflow")
        visit.open(pages["try"], 503)
        assert ready.airflow.request("GET", "/monitor/health")["metadatabase"]["status"] == "healthy"
        assert ready.airflow.runs(DAG_ID)["live-second"] == "success"
    finally:
        manager.up(ready.settings, free_ports=True)
    assert MODEL in visit.open(pages["models"]).locator("main").inner_text()
