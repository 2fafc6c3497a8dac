"""The page of a run that tunes: its trials as they come, the report of its study, and its end when it is asked for."""

from __future__ import annotations

import html
import re
from typing import Any

from boxwright.registry.training_run import TrainingRun

DAG_ID = "object_detection_tuning"
SETTINGS = {"model_id": "tiny", "model_name": "watched", "study": "s", "tuning_trials": 5}


def words(page: str) -> str:
    """The page's text, in one line."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def look(visit: Any, run_id: str, below: str = "", user: str = "viewer", status: int = 200) -> str:
    answer = visit(user).get(f"/runs/{DAG_ID}/{run_id}{below}")
    assert answer.status_code == status, answer.text
    return str(answer.text)


def tuning(make_run: Any, run_id: str) -> Any:
    """A run whose study is under way."""
    run = make_run(run_id, dag_id=DAG_ID, **SETTINGS)
    run.task("validate_annotations", "success", report=True)
    run.task("open_study", "success", [0, 1, 2, 3, 4])
    ended = [("success", {"number": 0, "state": "complete"}), ("success", {"number": 1, "state": "pruned"})]
    run.trials(*ended, ("failed", None), ("running", None), (None, None))
    return run


def test_a_run_before_its_study_is_opened_has_none(make_run: Any, visit: Any, tracking: str) -> None:
    make_run("fresh", dag_id=DAG_ID, **SETTINGS)
    page = look(visit, "fresh")
    assert re.search(r'<section id="study" class="part" hidden>', page)
    assert "open_study waiting trial waiting choose_best waiting fine_tune waiting" in words(page)
    assert "has no study yet" in words(look(visit, "fresh", "/study", status=404))


def test_trials_are_told_by_what_became_of_them_and_the_report_is_beside_them(
    make_run: Any, visit: Any, tracking: str
) -> None:
    run = tuning(make_run, "tunes")
    (run.output / "tuning.html").write_text("<!doctype html><p>the study")
    page = look(visit, "tunes")
    assert "5 trials: 1 complete, 1 pruned, 1 failed, 1 under way, 1 waiting." in words(page)
    # One that crashed is no failure of the run.
    assert "trial running" in words(page) and "trial failed" not in words(page)
    assert "settings are not valid" not in page
    assert f'src="/boxwright/runs/{DAG_ID}/tunes/study?at=' in page
    assert "the study" in look(visit, "tunes", "/study?at=now")
    assert 'id="to-again"' not in look(visit, "tunes", user="editor")
    before = page
    run.task("choose_best", "success", {"study": "s", "chosen": {}, "verdict": "no gain shown: none at all"})
    page = look(visit, "tunes")
    assert "no gain shown: none at all" in words(page)
    frames = [re.search(r'study\?at=[^"]*', one) for one in (before, page)]
    assert frames[0] and frames[1] and frames[0][0] != frames[1][0]  # which loads it again


def test_slots_that_began_nothing_say_so_and_trials_that_all_failed_are_a_failure(
    make_run: Any, visit: Any, tracking: str
) -> None:
    stopped = make_run("stopped", dag_id=DAG_ID, **SETTINGS)
    stopped.trials(("success", {"state": "complete"}), ("success", {"reason": "stopped as asked"}))
    assert "2 trials: 1 complete, 1 not begun." in words(look(visit, "stopped"))
    broken = make_run("broken", dag_id=DAG_ID, **SETTINGS)
    broken.trials(("failed", None), ("failed", None))
    assert "trial failed:" in words(look(visit, "broken"))


def test_a_study_under_way_is_stopped_by_who_may(make_run: Any, visit: Any, tracking: str) -> None:
    tuning(make_run, "stops")
    study, here = TrainingRun("watched", "stops", tracking), f"/runs/{DAG_ID}/stops"
    assert 'id="to-stop"' not in look(visit, "stops", user="editor")
    study.progress({"study": "s"})
    assert 'id="to-stop"' in look(visit, "stops", user="editor")
    assert 'id="to-stop"' not in look(visit, "stops")
    look(visit, "stops", "/stop", status=403)
    editor = visit("editor")
    page = editor.get(f"{here}/stop").text
    assert "No more trials begin." in words(page) and "Begin no more trials" in page
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert token
    answer = editor.post(
        f"{here}/stop", data={"token": token[1]}, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False
    )
    assert (answer.status_code, study.should_stop()) == (303, True)
    assert "Asked to stop: no more trials begin" in words(look(visit, "stops"))
