"""The contract, against a real server process: what the managed algorithm's clients see, and what goes beyond it."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from finder import BLUE_BOX, LABELS, RED_BOX, encoded, scene
from PIL import Image
from served import Served

from boxwright.config import ServingConfig
from boxwright.serving.http.server import listening

# A JPEG's colours bleed by a pixel.
PIXEL = 1.01
WIDTH, HEIGHT = 200, 100

Invoke = Callable[..., httpx.Response]


def boxes_in_pixels(boxes: list[list[float]], columns: tuple[int, int, int, int]) -> list[list[float]]:
    """`[xmin, ymin, xmax, ymax]` in pixels of the scene, from boxes whose columns of that order are given."""
    picked = np.array(boxes)[:, list(columns)] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    return picked.tolist()


def is_scene(boxes: list[list[float]]) -> bool:
    return bool(np.abs(np.array(boxes) - [RED_BOX, BLUE_BOX]).max() <= PIXEL)


def test_ping_is_green_as_soon_as_it_listens(client: httpx.Client) -> None:
    answer = client.get("/ping")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.parametrize("kind", ["application/x-image", "image/jpeg", "image/png", "Image/JPEG; charset=binary"])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_one_image_gives_one_line_of_json(invoke: Invoke, form: str, kind: str) -> None:
    answer = invoke(encoded(scene(), form), kind=kind)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.text.count("\n") == 1 and answer.text.endswith("\n")
    told = answer.json()
    assert set(told) == {"normalized_boxes", "classes", "scores"}
    assert (told["classes"], told["scores"]) == ([0, 1], [0.9, 0.25])


def test_the_documented_order_is_the_default_and_the_header_says_so(invoke: Invoke) -> None:
    answer = invoke(encoded(scene()))
    assert answer.headers["X-Box-Order"] == "xmin,xmax,ymin,ymax"
    assert is_scene(boxes_in_pixels(answer.json()["normalized_boxes"], (0, 2, 1, 3)))


def test_the_notebooks_order_on_demand(invoke: Invoke) -> None:
    answer = invoke(encoded(scene()), accept="application/json;box_order=xyxy")
    assert answer.headers["X-Box-Order"] == "xmin,ymin,xmax,ymax"
    assert is_scene(boxes_in_pixels(answer.json()["normalized_boxes"], (0, 1, 2, 3)))


def test_verbose_adds_the_labels_and_the_models_own_output(invoke: Invoke) -> None:
    told = invoke(encoded(scene()), accept="application/json;verbose").json()
    assert set(told) == {"normalized_boxes", "classes", "scores", "labels", "tensorflow_model_output"}
    assert [told["labels"][int(row)] for row in told["classes"]] == list(LABELS)
    raw = told["tensorflow_model_output"]
    assert set(raw) == {"detection_boxes", "detection_scores", "detection_classes", "num_detections"}
    assert np.array(raw["detection_boxes"]).shape == (1, 3, 4)
    assert (raw["num_detections"], raw["detection_classes"]) == ([2], [[1.0, 2.0, 0.0]])


def test_n_predictions_keeps_the_best(invoke: Invoke) -> None:
    answer = invoke(encoded(scene()), accept="application/json;verbose;n_predictions=1")
    told = answer.json()
    assert (told["scores"], told["classes"], len(told["normalized_boxes"])) == ([0.9], [0], 1)
    assert told["tensorflow_model_output"]["num_detections"] == [2]
    assert len(invoke(encoded(scene()), accept="application/json; n_predictions=50").json()["scores"]) == 2


@pytest.mark.parametrize(
    ("threshold", "scores"), [("0.5", [0.9]), ("0.9", [0.9]), ("0", [0.9, 0.25]), ("0.95", []), ("model", [0.9])]
)
def test_a_threshold_leaves_out_what_is_below(invoke: Invoke, threshold: str, scores: list[float]) -> None:
    assert invoke(encoded(scene()), threshold=threshold).json()["scores"] == scores


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/*", "text/html;q=0.9, application/json", "image/png;q=0,*/*"]
)
def test_what_a_client_accepts_is_read_as_http_means_it(invoke: Invoke, accept: str) -> None:
    assert invoke(encoded(scene()), accept=accept).headers["content-type"] == "application/json"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_of_the_image_as_a_person_sees_it(invoke: Invoke, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    # Stored so that turning it as the flag says gives the scene.
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = scene()
    if undo != 1:
        flagged = scene()
        other = Image.Exif()
        other[0x0112] = undo
        flagged.info["exif"] = other.tobytes()
        stored = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(scene(), "PNG", exif=other))))
    answer = invoke(encoded(stored, "JPEG", exif=exif), accept="application/json;box_order=xyxy")
    assert is_scene(boxes_in_pixels(answer.json()["normalized_boxes"], (0, 1, 2, 3)))


def test_the_picture_comes_back_with_its_boxes(invoke: Invoke) -> None:
    answer = invoke(encoded(scene()), accept="image/png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), int)
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    changed = np.abs(drawn - np.asarray(scene(), int)).sum(axis=2) > 60
    # The model's threshold is 0.5: the red thing has a box, the blue one has none.
    assert changed[RED_BOX[1] : RED_BOX[3], RED_BOX[0]].all() and changed[RED_BOX[1], RED_BOX[0] : RED_BOX[2]].all()
    assert not changed[BLUE_BOX[1] + 5 :, BLUE_BOX[0] - 5 :].any()
    both = invoke(encoded(scene()), accept="image/png", threshold="0.1")
    drawn = np.asarray(Image.open(io.BytesIO(both.content)).convert("RGB"), int)
    assert (np.abs(drawn - np.asarray(scene(), int)).sum(axis=2) > 60)[BLUE_BOX[1] + 1 : BLUE_BOX[3], BLUE_BOX[0]].all()


def _as_the_notebook_reads_it(client: httpx.Client, data: bytes) -> list[tuple[str, list[float]]]:
    """The managed algorithm's sample notebook: asks for a line of JSON, and unpacks left, bottom, right, top."""
    headers = {
        "content-type": "application/x-image",
        "accept": "application/json;verbose;n_predictions=2;box_order=xyxy",
    }
    predictions = json.loads(client.post("/invocations", content=data, headers=headers).content)
    boxes, classes, labels = (predictions[name] for name in ("normalized_boxes", "classes", "labels"))
    substitutions = [labels[int(row)] for row in classes]
    drawn = []
    for name, (left, bottom, right, top) in zip(substitutions, boxes, strict=True):
        x, y, width, height = left * WIDTH, bottom * HEIGHT, (right - left) * WIDTH, (top - bottom) * HEIGHT
        drawn.append((name, [x, y, x + width, y + height]))
    return drawn


def _as_the_documentation_reads_it(client: httpx.Client, data: bytes) -> list[tuple[str, list[float]]]:
    headers = {"Content-Type": "application/x-image", "Accept": "application/json;verbose"}
    told = client.post("/invocations", content=data, headers=headers).json()
    return [
        (told["labels"][row], [xmin * WIDTH, ymin * HEIGHT, xmax * WIDTH, ymax * HEIGHT])
        for row, (xmin, xmax, ymin, ymax) in zip(told["classes"], told["normalized_boxes"], strict=True)
    ]


@pytest.mark.parametrize("read", [_as_the_notebook_reads_it, _as_the_documentation_reads_it])
def test_both_kinds_of_client_get_the_right_boxes(client: httpx.Client, read: Any) -> None:
    found = read(client, encoded(scene()))
    assert [name for name, _ in found] == list(LABELS)
    assert is_scene([box for _, box in found])


def test_several_images_in_one_request(client: httpx.Client) -> None:
    files = [
        ("files", ("one.jpg", encoded(scene()), "image/jpeg")),
        ("files", ("broken.jpg", encoded(scene())[:300], "image/jpeg")),
        ("other", ("two.png", encoded(scene(), "PNG"), "image/png")),
        ("files", ("empty.png", b"", "image/png")),
    ]
    answer = client.post("/invocations/batch", files=files, params={"threshold": "0.5"})
    assert answer.status_code == 200
    told = answer.json()["predictions"]
    assert [one["file_name"] for one in told] == ["one.jpg", "broken.jpg", "two.png", "empty.png"]
    assert [one.get("scores") for one in told] == [[0.9], None, [0.9], None]
    assert [one.get("error") for one in told] == [None, "image_unreadable", None, "image_empty"]


def test_the_model_tells_about_itself(client: httpx.Client) -> None:
    told = client.get("/model").json()
    assert told["classes"] == list(LABELS)
    assert (told["input_size"], told["default_threshold"], told["metrics"]["AP50"]) == ([400, 400], 0.5, 0.75)
    assert (told["name"], told["version"]) == ("model.tar.gz", None)


def test_metrics_are_prometheus(client: httpx.Client, invoke: Invoke) -> None:
    def value(name: str) -> float:
        (found,) = re.findall(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found)

    name = 'boxwright_requests_total{route="/invocations",status="200"}'
    invoke(encoded(scene()))
    before = value(name)
    invoke(encoded(scene()))
    assert value(name) == before + 1
    assert value("boxwright_requests_in_house") == 0
    assert value("boxwright_batch_images_count") > 0
    assert value("process_resident_memory_bytes") > 1e6
    client.get("/made-up-1"), client.get("/made-up-2")
    text = client.get("/metrics").text
    assert "made-up" not in text and 'route="other",status="404"' in text


def test_the_api_has_a_page_without_foreign_scripts(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    assert {"/ping", "/invocations", "/invocations/batch", "/model", "/metrics"} <= set(schema["paths"])
    assert set(schema["paths"]["/invocations"]["post"]["requestBody"]["content"]) == {
        "application/x-image",
        "image/jpeg",
        "image/png",
    }
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert all(path in page.text for path in schema["paths"])
    assert "<script" not in page.text and "//cdn" not in page.text


def test_it_listens_on_this_machine_only(server: Served) -> None:
    import psutil

    found = [one.laddr.ip for one in psutil.Process(server.process.pid).net_connections() if one.status == "LISTEN"]
    assert found == ["127.0.0.1"]


def test_answers_go_out_at_once_not_when_the_head_is_acknowledged() -> None:
    async def sends_at_once() -> bool:
        accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with listening(ServingConfig(port=0)) as listener:
            taking = await asyncio.start_server(lambda _, answer: accepted.set_result(answer), sock=listener)
            async with taking:
                _, client = await asyncio.open_connection(*listener.getsockname())
                answer = await accepted
                told = answer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                client.close()
                answer.close()
        return bool(told)

    assert asyncio.run(sends_at_once())
