"""Bad input against a real server process: an answer with a reason each time, and the server goes on."""

from __future__ import annotations

import io
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from finder import encoded, scene
from PIL import Image
from served import Served

Invoke = Callable[..., httpx.Response]


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size, with hardly any data: a bomb's envelope."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif() -> bytes:
    return encoded(scene(), "GIF")


def damaged_jpeg() -> bytes:
    """A whole header, and a scan of which the decoder makes nothing: the model's own decoder has to notice."""
    data = encoded(scene())
    return data[: len(data) // 2]


def damaged_png() -> bytes:
    data = bytearray(encoded(scene(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "status", "code", "reason"),
    [
        (b"", 400, "image_empty", "no bytes"),
        (b"hello, this is no image", 400, "image_unreadable", "begins with"),
        (b"<svg/>", 400, "image_unreadable", "not JPEG or PNG"),
        (gif(), 400, "image_unreadable", "GIF, not JPEG or PNG"),
        (encoded(scene())[:100], 400, "image_unreadable", "broken or truncated"),
        (damaged_jpeg(), 400, "image_unreadable", "broken or truncated"),
        (damaged_png(), 400, "image_unreadable", "broken or truncated"),
        (encoded(scene(), "PNG")[:-20], 400, "image_unreadable", "broken or truncated"),
        (png_header(3000, 3000), 413, "image_too_large", "3000 x 3000 pixels, more than the limit of 4000000"),
        (png_header(60_000, 60_000), 413, "image_too_large", "more than the limit of 4000000"),
        (b"x" * 2_000_001, 413, "body_too_large", "limit of 2,000,000 bytes"),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else None,
)
def test_a_bad_image_is_answered_with_its_reason(
    invoke: Invoke, data: bytes, status: int, code: str, reason: str
) -> None:
    answer = invoke(data)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    told = answer.json()
    assert set(told) == {"error", "reason"}
    assert told["error"] == code and reason in told["reason"] and "\n" not in told["reason"]
    assert invoke(encoded(scene())).json()["scores"] == [0.9, 0.25]


@pytest.mark.parametrize(
    "picture",
    [
        encoded(scene().convert("CMYK"), "JPEG"),
        encoded(scene().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        encoded(scene().convert("RGBA"), "PNG"),
        encoded(scene(), "PNG", save_all=True, append_images=[Image.new("RGB", (200, 100))]),
        encoded(scene(), "JPEG", progressive=True),
    ],
    ids=["cmyk", "palette", "rgba", "animated", "progressive"],
)
def test_unusual_images_are_seen(invoke: Invoke, picture: bytes) -> None:
    red, _ = invoke(picture, accept="application/json;box_order=xyxy").json()["normalized_boxes"]
    assert red == pytest.approx([0.1, 0.1, 0.4, 0.4], abs=0.015)


@pytest.mark.parametrize("mode", ["L", "I;16", "LA", "1"])
def test_images_without_colour_are_taken(invoke: Invoke, mode: str) -> None:
    assert invoke(encoded(scene().convert("L").convert(mode), "PNG")).status_code == 200


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json", "multipart/form-data", "image/gif", "x" * 300])
def test_another_content_type_is_415(invoke: Invoke, kind: str) -> None:
    answer = invoke(encoded(scene()), kind=kind)
    assert answer.status_code == 415
    assert "application/x-image, image/jpeg, image/png" in answer.json()["reason"]


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/jpeg", "nonsense", "application/json;q=0"])
def test_another_accept_is_406(invoke: Invoke, accept: str) -> None:
    answer = invoke(encoded(scene()), accept=accept)
    assert (answer.status_code, answer.json()["error"]) == (406, "not_acceptable")
    assert "application/json[;verbose]" in answer.json()["reason"]


@pytest.mark.parametrize(
    ("accept", "reason"),
    [
        ("application/json;n_predictions=0", "whole number"),
        ("application/json;n_predictions=-1", "whole number"),
        ("application/json;n_predictions=²", "whole number"),
        ("application/json;n_predictions", "whole number"),
        ("application/json;n_prediction=5", "n_predictions"),
        ("application/json;box_order=yxyx", "xxyy, xyxy"),
        ("application/json;verbose=maybe", "verbose"),
    ],
)
def test_a_bad_parameter_of_accept_is_422(client: httpx.Client, accept: str, reason: str) -> None:
    headers = [(b"Content-Type", b"application/x-image"), (b"Accept", accept.encode("latin-1"))]
    answer = client.post("/invocations", content=encoded(scene()), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "bad_parameter")
    assert reason in answer.json()["reason"]


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "nan", "inf", "much", ""])
def test_a_bad_threshold_is_422(invoke: Invoke, threshold: str) -> None:
    answer = invoke(encoded(scene()), threshold=threshold)
    assert (answer.status_code, answer.json()["error"]) == (422, "bad_parameter")
    assert answer.json()["reason"].startswith("threshold=")


def test_unknown_routes_and_methods(client: httpx.Client) -> None:
    assert (client.get("/nowhere").status_code, client.get("/nowhere").json()["error"]) == (404, "not_found")
    assert (client.get("/invocations").status_code, client.delete("/ping").status_code) == (405, 405)


def test_a_chunked_body_is_bounded_too(client: httpx.Client) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    answer = client.post("/invocations", content=body(), headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")
    assert client.get("/ping").status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {"Content-Type": "multipart/form-data"}, 400),
        (b"nothing of a form", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
        (b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
        (encoded(scene()), {"Content-Type": "image/jpeg"}, 415),
        (b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x", "Accept": "image/png"}, 406),
    ],
)
def test_a_bad_form_is_answered(client: httpx.Client, content: bytes, headers: dict[str, str], status: int) -> None:
    answer = client.post("/invocations/batch", content=content, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "reason"}


def test_too_many_files_are_400_and_a_large_one_is_named(client: httpx.Client) -> None:
    many = [("files", (f"{i}.jpg", b"x", "image/jpeg")) for i in range(40)]
    assert client.post("/invocations/batch", files=many).status_code == 400
    answer = client.post("/invocations/batch", files=[("files", ("large.jpg", b"x" * 2_000_001, "image/jpeg"))])
    assert [one["error"] for one in answer.json()["predictions"]] == ["body_too_large"]


@pytest.mark.parametrize("part", ['name="a"', 'name="files"; filename="a.jpg"'], ids=["fields", "files"])
def test_a_hundred_thousand_parts_are_refused_at_the_first_too_many(client: httpx.Client, part: str) -> None:
    body = f"--x\r\nContent-Disposition: form-data; {part}\r\n\r\n\r\n".encode() * 100_000 + b"--x--\r\n"
    started = time.monotonic()
    answer = client.post(
        "/invocations/batch", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert (answer.status_code, set(answer.json())) == (400, {"error", "reason"})
    assert "32" in answer.json()["reason"], "it says how many are allowed"
    assert time.monotonic() - started < 60
    assert client.get("/ping").status_code == 200


def test_a_body_that_stops_being_http_is_400(server: Served) -> None:
    address = urlsplit(server.url)
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(head + b"zz\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert server.said("an answer was not sent")


def test_no_traceback_was_logged(server: Served, invoke: Invoke) -> None:
    assert invoke(io.BytesIO(b"not an image").getvalue()).status_code == 400
    assert not [line for line in server.log if "Traceback" in line or "Exception" in line]
