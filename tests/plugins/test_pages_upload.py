"""A dataset that goes from a person's computer into a bucket through a page, in a browser and against its rules."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from boxwright.dataset.sample import generate_sample
from boxwright.storage import list_files, read_bytes
from boxwright_airflow.pages import upload
from boxwright_airflow.pages.security import TOKEN_HEADER

Make = Callable[..., Any]


@pytest.fixture
def bucket(s3: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of a real S3 server, which the administrator allows."""
    uri = s3.make_bucket(f"upload-{uuid.uuid4().hex[:8]}")
    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", uri)
    monkeypatch.setenv("BOXWRIGHT_SAMPLE_URI", f"{uri}/datasets/sample-200")
    return str(uri)


@pytest.fixture
def asking(visit: Make) -> Make:
    """Asks the page's routes as its script does."""
    editor = visit("editor")
    page = editor.get("/upload").text
    token = page.partition('data-token="')[2].partition('"')[0]
    assert token

    def ask(path: str, body: bytes | None = None, client: Any = editor, **query: str) -> Any:
        headers = {TOKEN_HEADER: token, "Sec-Fetch-Site": "same-origin"}
        return client.post(f"/upload/{path}", params=query, content=body, headers=headers)

    return ask


def test_files_arrive_as_they_are_and_hidden_ones_stay_behind(asking: Make, bucket: str) -> None:
    dataset = f"{bucket}/datasets/cells"
    assert asking("begin", dataset=dataset).json() == {"there": 0}
    assert asking("file", b"pixels", dataset=dataset, name="images/Ä b%20.jpg").json() == {"bytes": 6}
    assert asking("file", b"{}", dataset=f"{dataset}/", name="annotations.json").json() == {"bytes": 2}
    for name in (".aws/credentials", "images/._x.jpg", "images/.DS_Store", "__MACOSX/x", "Thumbs.db"):
        assert asking("file", b"secret", dataset=dataset, name=name).json() == {"left_out": True}, name
    assert sorted(one.key for one in list_files(dataset)) == ["annotations.json", "images/Ä b%20.jpg"]
    assert read_bytes(f"{dataset}/images/Ä b%20.jpg", 100) == b"pixels"
    assert asking("begin", dataset=dataset).json() == {"there": 2}
    assert asking("end", dataset=dataset).json() == {"splits": {"training": dataset}}


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "a//b.jpg", "", "a\\b.jpg", "a\0b.jpg", "x" * 300 + ".jpg"])
def test_a_name_cannot_leave_the_dataset(name: str, asking: Make, bucket: str) -> None:
    answer = asking("file", b"x", dataset=f"{bucket}/set", name=name)
    if name.startswith(".."):
        assert answer.json() == {"left_out": True}
    else:
        assert answer.status_code == 422 and answer.json()["reason"]
    assert list_files(bucket) == []


@pytest.mark.parametrize(
    ("dataset", "status", "said"),
    [
        ("s3://elsewhere/set", 403, "elsewhere"),
        ("/etc", 422, "expected a prefix in a bucket"),
        ("", 422, "use s3://bucket/prefix"),
        ("s3://elsewhere", 422, "expected a prefix in a bucket"),
    ],
)
def test_a_place_that_is_none_or_not_allowed_is_refused(
    dataset: str, status: int, said: str, asking: Make, bucket: str
) -> None:
    for path in ("begin", "file", "end"):
        query = {"dataset": dataset, "name": "a.jpg"} if path == "file" else {"dataset": dataset}
        answer = asking(path, b"x" if path == "file" else None, **query)
        assert answer.status_code == status and said in answer.json()["reason"]


def test_only_who_may_start_a_training_may_upload_and_only_from_the_page(
    asking: Make, visit: Make, bucket: str
) -> None:
    dataset = f"{bucket}/set"
    assert "to look at trainings" in visit("viewer").get("/upload").text
    assert 'id="drop"' not in visit("viewer").get("/upload").text
    for user, status in (("viewer", 403), (None, 401)):
        assert asking("file", b"x", visit(user), dataset=dataset, name="a.jpg").status_code == status
    other_site = visit("editor").post("/upload/file", params={"dataset": dataset, "name": "a.jpg"}, content=b"x")
    assert other_site.status_code == 403
    assert list_files(bucket) == []


def test_a_file_beyond_the_limit_is_refused_with_what_takes_it(
    asking: Make, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "FILE_LIMIT", 10)
    assert asking("file", b"x" * 10, dataset=f"{bucket}/set", name="a.jpg").json() == {"bytes": 10}
    answer = asking("file", b"x" * 11, dataset=f"{bucket}/set", name="b.jpg")
    assert answer.status_code == 422 and "boxwright upload" in answer.json()["reason"]
    assert [one.key for one in list_files(bucket)] == ["set/a.jpg"]


def test_a_person_uploads_a_folder_and_looks_at_it(open_tab: Make, server: str, bucket: str, tmp_path: Path) -> None:
    folder = tmp_path / "cells"
    generate_sample(folder, images=10, seed=3)
    (folder / "training" / ".hidden").write_text("a key")
    tab, said = open_tab()
    tab.goto(f"{server}/boxwright/datasets")
    tab.get_by_role("link", name="Upload a dataset").click()
    assert tab.get_by_label("Where to").input_value() == f"{bucket}/datasets/"
    tab.locator("#folder").set_input_files(folder)
    tab.get_by_role("heading", name="What to do with it").wait_for(timeout=60_000)
    dataset = f"{bucket}/datasets/cells"
    ours = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    del ours["training/.hidden"]
    arrived = {one.key for one in list_files(dataset)}
    assert arrived == set(ours)
    for name, path in ours.items():
        assert read_bytes(f"{dataset}/{name}", 10_000_000) == path.read_bytes()
    message = tab.locator("#message").inner_text()
    assert f"{len(ours)} files are at {dataset}" in message
    assert "Hidden files stayed behind (1): training/.hidden" in message
    assert tab.locator("#splits code").all_inner_texts() == [
        f"{dataset}/{split}" for split in ("training", "validation", "test")
    ]
    tab.get_by_role("link", name="Look at its images").click()
    tab.locator("svg, img").first.wait_for()
    assert "cells" in tab.locator("h1").inner_text()

    # Once more, to where something is: the person is asked.
    tab.goto(f"{server}/boxwright/upload")
    tab.get_by_label("Where to").fill(dataset)
    tab.locator("#folder").set_input_files(folder)
    tab.get_by_text("files are there already").wait_for()
    assert tab.locator("#done").is_hidden()
    tab.get_by_role("button", name="Add to them").click()
    tab.get_by_role("heading", name="What to do with it").wait_for(timeout=60_000)
    assert said == []
    assert json.loads(read_bytes(f"{dataset}/training/annotations.json", 10_000_000))


@pytest.mark.parametrize(
    ("path", "script", "field", "content", "then"),
    [
        ("upload", "upload.js", "#folder", "cells", "What to do with it"),
        ("try/detector/3", "trial.js", "#file", "cells/notes.txt", "notes.txt is text/plain"),
    ],
)
def test_what_is_chosen_before_the_script_came_is_taken(
    path: str,
    script: str,
    field: str,
    content: str,
    then: str,
    open_tab: Make,
    server: str,
    bucket: str,
    tmp_path: Path,
) -> None:
    generate_sample(tmp_path / "cells", images=4, seed=3)
    (tmp_path / "cells" / "notes.txt").write_text("x")
    tab, said = open_tab()
    held: list[Any] = []
    tab.route(f"**/{script}", lambda route: held.append(route))
    tab.goto(f"{server}/boxwright/{path}", wait_until="commit")
    tab.locator(field).set_input_files(tmp_path / content)
    assert held and not tab.get_by_text(then).is_visible()
    held[0].continue_()
    tab.get_by_text(then).wait_for(timeout=60_000)
    assert bool(list_files(bucket)) == (path == "upload")
    assert said == []


@pytest.mark.parametrize(
    ("kind", "answer", "then"),
    [
        ("application/json", '{"by', "What to do with it"),  # cut off on its way
        ("text/html", "<title>Log in</title>", "Airflow did not allow it: load this page again"),
    ],
)
def test_an_answer_that_was_cut_off_is_asked_for_again_and_a_log_in_is_told(
    kind: str, answer: str, then: str, open_tab: Make, server: str, bucket: str, tmp_path: Path
) -> None:
    generate_sample(tmp_path / "cells", images=4, seed=3)
    tab, _ = open_tab()
    once = {"status": 200, "content_type": kind, "body": answer}
    tab.route("**/upload/file?*", lambda route: route.fulfill(**once), times=1)
    tab.goto(f"{server}/boxwright/upload")
    tab.locator("#folder").set_input_files(tmp_path / "cells")
    tab.get_by_text(then).wait_for(timeout=60_000)
    ours = sum(path.is_file() for path in (tmp_path / "cells").rglob("*"))
    assert (len(list_files(f"{bucket}/datasets/cells")) == ours) == (kind == "application/json")


@pytest.mark.parametrize(("path", "said"), [("/upload", "Drop one folder"), ("/try/detector/3", "is text/plain")])
def test_what_is_dropped_goes_to_the_page(path: str, said: str, open_tab: Make, server: str) -> None:
    tab, errors = open_tab()
    tab.goto(f"{server}/boxwright{path}")
    drop = """() => {
        const data = new DataTransfer();
        data.items.add(new File(["x"], "notes.txt", {type: "text/plain"}));
        const area = document.getElementById("drop");
        area.dispatchEvent(new DragEvent("dragenter", {dataTransfer: data, bubbles: true, cancelable: true}));
        const lit = area.classList.contains("over");
        area.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        return lit && !area.classList.contains("over");
    }"""
    assert tab.evaluate(drop), "the area shows that it would take it, until it has"
    tab.get_by_text(said).wait_for()
    assert errors == []


class Drips:
    """A request whose body comes a byte at a time."""

    def __init__(self, pause: float, count: int) -> None:
        self.pause, self.count = pause, count

    async def stream(self) -> AsyncIterator[bytes]:
        for _ in range(self.count):
            await asyncio.sleep(self.pause)
            yield b"x"


def saved(body: Drips, file: Path) -> int:
    # In a thread: a browser's event loop may run in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, upload._save(body, file)).result()  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 10_000])
def test_a_file_that_comes_too_slowly_gives_up_its_turn(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "_PATIENCE", 0.2)
    with pytest.raises(TimeoutError):
        saved(Drips(3600 if count == 1 else 0.01, count), tmp_path / "file")


def test_the_script_of_the_page_is_told_so(asking: Make, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_PATIENCE", -3600.0)
    answer = asking("file", b"x", dataset=f"{bucket}/set", name="a.jpg")
    assert (answer.status_code, answer.json()["again"]) == (408, True)
    assert "less than 10 kB a second" in answer.json()["reason"]
    assert list_files(bucket) == []


def test_a_file_that_comes_in_time_is_whole(tmp_path: Path) -> None:
    assert saved(Drips(0, 50), tmp_path / "file") == 50
    assert (tmp_path / "file").read_bytes() == b"x" * 50
