"""The first run of all: made in Airflow's trigger form, watched on its page while its training is killed, served."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from served import serving

from boxwright.airflow_api.trigger import DAG_ID
from live.live_runs import FIRST, MODEL, PATIENCE, SETTINGS, FirstRun
from live.pages import Visit, keep

if TYPE_CHECKING:
    from live.conftest import LiveStack

RUN = f"/dags/{DAG_ID}/runs"
# Name in Airflow's form, section, value.
FORM = {
    "Data": ("training", "test", "output"),
    "Model": ("model_id", "model_name", "seed_mode"),
    "Hyperparameters: basic": ("epochs", "image_size", "augmentation"),
    "Quality gate": ("gate_min_ap50", "gate_classes_told_apart"),
}
CHOICES = ("model_id", "seed_mode", "augmentation")


def test_a_run_from_the_form_is_watched_and_its_model_served(
    visit: Visit, ready: LiveStack, first_run: FirstRun, pictures: Path, sample: list[Path]
) -> None:
    first_run.start(lambda: _trigger_by_form(visit))
    run = visit.open_in_airflow(f"{RUN}/{FIRST}/plugin/boxwright-run")
    # The page is never loaded again: a mark on its window stays.
    run.locator("html").evaluate("() => { window.marked = true; }")
    run.locator("#progress-text", has_text="Epoch").wait_for(timeout=PATIENCE)
    keep(visit, pictures, "airflow-run-live", whole=False)
    run.get_by_role("img", name=re.compile("Loss: training")).wait_for(timeout=PATIENCE)
    run.locator("#gate table").wait_for(timeout=PATIENCE)
    run.locator("#state[data-ended=yes]").wait_for(timeout=PATIENCE)
    first_run.finish()
    assert run.locator("html").evaluate("() => window.marked")
    assert run.locator(".state").inner_text() == "success"
    assert "epochs trained" in run.locator("#progress-text").inner_text()
    report = run.frame_locator("iframe.report")
    report.locator("h1").wait_for()
    keep(visit, pictures, "airflow-run-ended", whole=False)

    run.locator("#to-version").click()
    (version,) = [one for one in ready.registry.versions(MODEL) if one.run_id == FIRST]
    run.get_by_role("heading", name=f"{MODEL}, version {version.version}").wait_for()
    command = run.locator(".command code").first.inner_text()
    assert ready.registry.aliases(MODEL)["champion"] == version.version
    keep(visit, pictures, "airflow-version", whole=False)
    assert visit.problems == []
    _serve(command, ready, sample[0])


def _trigger_by_form(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.origin}/dags/{DAG_ID}")
    page.get_by_role("button", name=re.compile("Trigger")).first.click()
    form = page.get_by_role("dialog")
    values = {name: str(value) for name, value in SETTINGS.items()} | {"seed_mode": "pretrained"}
    for section, names in FORM.items():
        form.get_by_role("button", name=section, exact=True).click()
        if section == "Data":
            _look_at_data(form)
        for name in names:
            field = form.locator(f"[name=element_{name}]")
            if field.get_attribute("type") == "checkbox":
                if field.is_checked() != (values[name] == "True"):
                    field.evaluate("toggle => toggle.click()")  # what a person sees and clicks lies over it
                assert field.is_checked() == (values[name] == "True")
            elif name in CHOICES:
                choice = field.locator("xpath=..").get_by_role("combobox")
                choice.click()
                choice.fill(values[name])
                choice.press("Enter")
                assert field.input_value() == values[name]
            else:
                field.fill(values[name])
    form.get_by_role("button", name="Advanced Options").click()
    form.locator("[name=dagRunId]").fill(FIRST)
    form.get_by_role("button", name="Trigger", exact=True).click()
    form.wait_for(state="detached")


def _look_at_data(form: Any) -> None:
    """A person who types a dataset alone needs no more: it is marked, an example is offered, results have a place."""
    training = form.locator("[name=element_training]")
    offered = form.locator(f"#{training.get_attribute('list')} option").all_inner_texts()
    assert offered == ["s3://boxwright/datasets/sample-200/training"]
    form.locator("label").get_by_text("Output", exact=True).wait_for()
    assert "Training*" in [label.replace("\n", "") for label in form.locator("label").all_inner_texts()]
    form.get_by_text("When empty: s3://boxwright/runs").wait_for()


def _serve(command: str, stack: LiveStack, image: Path) -> None:
    """Runs the command that the page shows, on a free port, and asks the server for boxes."""
    program, verb, *arguments = shlex.split(command)
    assert (program, verb) == ("boxwright", "serve")
    with serving(*arguments, environment=stack.env) as served, served.client() as client:
        answer = client.post("/invocations", content=image.read_bytes(), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200 and "normalized_boxes" in answer.json()
