"""The API as a page of HTML. FastAPI's own pages fetch scripts from the internet, which a closed network has not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from boxwright.reporting import render

_EXAMPLE = """curl --data-binary @image.jpg -H 'Content-Type: application/x-image' \\
  -H 'Accept: application/json;verbose;n_predictions=5' http://HOST/invocations
curl --data-binary @image.jpg -H 'Content-Type: image/jpeg' -H 'Accept: image/png' \\
  'http://HOST/invocations?threshold=0.5' -o boxes.png"""


def api_page(schema: dict[str, Any]) -> bytes:
    """The page of an OpenAPI document, without scripts."""
    return render("boxwright.serving.http", "api.html", schema=schema, example=_EXAMPLE, parts=_parts)


def _parts(operation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The parameters, the body and the answers of an operation, each with its meaning."""
    for parameter in operation.get("parameters", ()):
        yield f"{parameter['in']}: {parameter['name']}", parameter.get("description", "")
    if body := operation.get("requestBody"):
        yield "body", ", ".join(body["content"])
    for status, response in operation["responses"].items():
        yield status, response["description"]
