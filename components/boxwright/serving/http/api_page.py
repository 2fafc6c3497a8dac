"""The API as a page of HTML. FastAPI's own pages fetch scripts from the internet, which a closed network has not."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2026; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.5 ui-monospace, monospace; background: #f1f3f5; border-radius: 4px; padding: .1em .3em }
pre { padding: .8em 1em; overflow-x: auto }
h2 { border-top: 1px solid #d5d9dd; padding-top: 1rem; font-size: 1.1rem }
h2 b { background: #0072b2; color: #fff; border-radius: 4px; padding: .1em .5em; margin-right: .4em }
table { border-collapse: collapse; width: 100% } td { border-top: 1px solid #e4e7ea; padding: .3em .6em .3em 0;
vertical-align: top } td:first-child { white-space: nowrap; width: 12rem }
"""
_EXAMPLE = """curl --data-binary @image.jpg -H 'Content-Type: application/x-image' \\
  -H 'Accept: application/json;verbose;n_predictions=5' http://HOST/invocations
curl --data-binary @image.jpg -H 'Content-Type: image/jpeg' -H 'Accept: image/png' \\
  'http://HOST/invocations?threshold=0.5' -o boxes.png"""


def api_page(schema: dict[str, Any]) -> str:
    """The page of an OpenAPI document, without scripts."""
    title = f"{escape(schema['info']['title'])} {escape(schema['info']['version'])}"
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>",
        f"<h1>{title}</h1><p>{escape(schema['info']['description'])} For programs: <code>/openapi.json</code>.</p>",
        f"<pre>{escape(_EXAMPLE)}</pre>",
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.extend(_operation(method.upper(), path, operation))
    return "\n".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><b>{method}</b><code>{escape(path)}</code> {escape(operation['summary'])}</h2>"
    yield f"<p>{escape(operation.get('description', ''))}</p><table>"
    for parameter in operation.get("parameters", ()):
        place = f"{parameter['in']}: {parameter['name']}"
        yield _row(place, parameter.get("description", ""))
    if body := operation.get("requestBody"):
        yield _row("body", ", ".join(body["content"]))
    for status, response in operation["responses"].items():
        yield _row(status, response["description"])
    yield "</table>"


def _row(name: str, text: str) -> str:
    return f"<tr><td><code>{escape(name)}</code><td>{escape(text)}"
