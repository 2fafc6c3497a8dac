"""The page of the HTTP API, from the application's OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from boxwright.serving.engine import Engine
from boxwright.serving.http.app import create_app
from docs.generator.markdown import code, listed, page, table

_INTRO = """
What `boxwright serve` answers; [Serving](../serving.md) says it with examples. A running server has this page at
`/docs` and for programs at `/openapi.json`. Every answer other than 200 is one JSON object with `error`, a code for
programs ([the list](errors.md#http)), and `reason`, a line for people.
"""


def http_page() -> str:
    """Every route: what it does, takes and answers."""
    # Routes are made without a model; only a running application asks the engine for anything.
    document = create_app(cast(Engine, None)).openapi()
    parts = [_INTRO]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += [f"## {method.upper()} {path}", *_operation(operation)]
    return page("HTTP API", *parts)


def _operation(operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"{operation['summary']}. {operation.get('description', '')}"
    takes = [
        (code(parameter["name"]), parameter["in"], parameter.get("description", ""))
        for parameter in operation.get("parameters", ())
    ]
    if body := operation.get("requestBody"):
        takes.append(("the request", "body", listed(body["content"])))
    if takes:
        yield table(("takes", "in", "what"), takes)
    answers = [(status, response["description"]) for status, response in operation["responses"].items()]
    yield table(("answers", "when"), answers)
