"""The pages in Airflow's own UI, over real runs: sound, promoted, tried, and with parts of it missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import httpx
import psutil
import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.stack import manager, supervisor
from boxwright.stack.processes import ProcessTable
from live.live_runs import FIRST, MODEL, PATIENCE, log_in
from live.pages import Visit, keep, out_of_reach, serious_findings, viewer_cookie, visiting
from live.weekly_runs import CONF, by_week, dataset_of, run_of
from live.weekly_runs import MODEL as WEEKLY

if TYPE_CHECKING:
    from live.conftest import LiveStack

RUN = f"/dags/{DAG_ID}/runs"


@pytest.fixture(scope="module")
def pages(ready: LiveStack, first: dict[str, str], two_weeks: dict[int, str], bad: str) -> dict[str, str]:
    """Address of every page by a name for its picture."""
    versions = by_week(ready.registry)
    number, fingerprint = versions[1].version, quote(versions[1].tags["boxwright.fingerprint"])
    return {
        "models": "/models",
        "version": f"/models/{WEEKLY}/{number}",
        "promote": f"/models/{WEEKLY}/{number}/promote",
        "compare": f"/compare?v={WEEKLY}/{versions[0].version}&v={WEEKLY}/{number}",
        "datasets": "/datasets",
        "dataset": f"/datasets/{fingerprint}",
        "try": "/try",
        "try-version": f"/try/{WEEKLY}/{number}",
        "run": f"/runs/{DAG_ID}/{FIRST}",
        "run-failed": f"/runs/{DAG_ID}/{quote(bad, safe='')}",
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


def test_airflow_shows_them_in_its_frame(browser: Any, ready: LiveStack, first: dict[str, str], pictures: Path) -> None:
    for theme in ("light", "dark"):
        with visiting(browser, ready.stack, log_in(ready.stack), theme) as visit:
            models = visit.open_in_airflow("/plugin/models")
            models.get_by_role("link", name=MODEL, exact=False).first.wait_for()
            keep(visit, pictures, f"airflow-models-{theme}", whole=False)
            run = visit.open_in_airflow(f"{RUN}/{FIRST}/plugin/boxwright-run")
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


def test_a_failed_run_says_why(visit: Visit, bad: str) -> None:
    run = visit.open_in_airflow(f"{RUN}/{quote(bad, safe='')}/plugin/boxwright-run")
    alert = run.get_by_role("alert").inner_text()
    assert "validate_annotations failed:" in alert and "nothing-here" in alert
    assert "file_unreadable" in run.locator("#validation").inner_text()
    assert visit.problems == []


def test_a_model_is_tried_on_an_image(
    visit: Visit, ready: LiveStack, first: dict[str, str], pictures: Path, sample: list[Path], tmp_path: Path
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


def test_a_version_is_promoted_and_rolled_back(
    visit: Visit, ready: LiveStack, two_weeks: dict[int, str], pictures: Path
) -> None:
    champion, number = ready.registry.aliases(WEEKLY)["champion"], by_week(ready.registry)[1].version
    assert champion != number
    page = visit.open_in_airflow(f"{RUN}/{quote(run_of(1), safe='')}/plugin/boxwright-run")
    page.locator("#to-version").click()
    page.get_by_role("heading", name=f"{WEEKLY}, version {number}").wait_for()
    try:
        page.get_by_role("link", name="Promote to champion").click()
        page.get_by_role("button", name=f"Make version {number} the champion").click()
        page.get_by_text("This version is the champion now").wait_for()
        assert ready.registry.aliases(WEEKLY)["champion"] == number
        keep(visit, pictures, "airflow-version-promoted", whole=False)
        page.get_by_role("link", name=f"Roll back to version {champion}").click()
        page.get_by_role("button", name=f"Make version {champion} the champion again").click()
        page.get_by_role("heading", name=f"{WEEKLY}, version {champion}").wait_for()
        assert ready.registry.aliases(WEEKLY)["champion"] == champion
    finally:
        if ready.registry.aliases(WEEKLY)["champion"] != champion:
            ready.registry.promote(f"models:/{WEEKLY}/{champion}")
    assert visit.problems == []


def test_a_run_is_started_again_from_its_page(
    visit: Visit, ready: LiveStack, two_weeks: dict[int, str], bad: str, pictures: Path
) -> None:
    page = visit.open_in_airflow(f"{RUN}/{quote(run_of(1), safe='')}/plugin/boxwright-run")
    page.locator("#to-again").click()
    page.locator("#again").wait_for()
    assert page.locator("[name=training]").input_value() == dataset_of(1)  # not the pattern with its date
    page.locator("[name=epochs]").fill("0")
    page.get_by_role("button", name="Start the run").click()
    page.get_by_text("Invalid input for param epochs").wait_for()
    visit.problems.clear()  # the console tells of the refusal, too
    page.locator("[name=epochs]").fill("3")
    keep(visit, pictures, "airflow-run-again", whole=False)
    page.get_by_role("button", name="Start the run").click()
    visit.page.wait_for_url(re.compile(r"/runs/manual__[^/]*/plugin/boxwright-run$"))
    name = unquote(urlsplit(visit.page.url).path.split("/")[-3])
    here = f"/dags/{DAG_ID}/dagRuns/{quote(name, safe='')}"
    settings = ready.airflow.request("GET", here)["conf"]
    ready.airflow.request("PATCH", here, json={"state": "failed"})  # what it would train is trained by others
    assert settings == CONF | {"training": dataset_of(1), "epochs": 3, "gate_classes_told_apart": "False"}

    announced = visit.open(f"/runs/{DAG_ID}/{quote(bad, safe='')}/again")
    assert announced.locator("[name=training]").input_value() == "s3://boxwright/announced/nothing-here"
    assert announced.locator("[name=annotations_file]").input_value() == "missing.json"
    assert [*visit.problems, *serious_findings(announced), *out_of_reach(announced)] == []


def test_what_was_deleted_is_named(visit: Visit, ready: LiveStack, first: dict[str, str]) -> None:
    key = f"runs/{FIRST}/output/report.html"
    kept = ready.s3.get_object(Bucket="boxwright", Key=key)["Body"].read()
    ready.s3.delete_object(Bucket="boxwright", Key=key)
    try:
        page = visit.open(f"/runs/{DAG_ID}/{FIRST}/evaluation", 404)
        assert "report.html cannot be read" in page.locator("main").inner_text()
        assert "Quality gate" in visit.open(f"/runs/{DAG_ID}/{FIRST}").locator("main").inner_text()
    finally:
        ready.s3.put_object(Bucket="boxwright", Key=key, Body=kept)


def test_without_mlflow_airflow_works_and_the_pages_say_what_is_missing(
    visit: Visit, ready: LiveStack, pages: dict[str, str], pictures: Path
) -> None:
    supervisor.stop(ready.stack.folder)
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
        assert ready.airflow.runs(DAG_ID)[FIRST] == "success"
    finally:
        manager.up(ready.settings, free_ports=True)
    assert MODEL in visit.open(pages["models"]).locator("main").inner_text()
