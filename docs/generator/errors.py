"""The page of errors, exit codes and HTTP codes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from boxwright import errors
from boxwright.errors import BoxwrightError
from boxwright.serving import http
from boxwright.serving.http.problems import IMAGE_STATUS
from docs.generator.markdown import code, page, table

_INTRO = """
Every failure that a user can act on is one line that says what was expected, what came, where, and what to do. Its type
decides what a command exits with and whether Airflow tries the task again.
"""
_HTTP = "What a server answers beside 200, as `error` of the JSON object."


def errors_page() -> str:
    """Typed errors with exit code and retry, and the codes of the HTTP server."""
    kinds = [found for found in vars(errors).values() if inspect.isclass(found) and issubclass(found, BoxwrightError)]
    rows = [
        ("0", "", "", "Done; `boxwright run`: registered, or the version that has the same model."),
        *map(_row, kinds[1:]),
        (str(errors.BUG_EXIT_CODE), "", "yes", "A bug of Boxwright, with a traceback and a reference to report."),
    ]
    codes = sorted({*_image_codes(), *_problem_codes()})
    return page(
        "Errors and exit codes",
        _INTRO,
        table(("exit code", "error", "tried again", "what it says"), rows),
        "## HTTP",
        _HTTP,
        table(("status", "error"), [(f"{status} {HTTPStatus(status).phrase}", code(name)) for status, name in codes]),
    )


def _row(kind: type[BoxwrightError]) -> tuple[str, ...]:
    meaning = (kind.__doc__ or "").strip().partition("\n")[0]
    return str(kind.exit_code), code(kind.__name__), "yes" if kind.retryable else "no", meaning


def _image_codes() -> Iterator[tuple[int, str]]:
    yield from ((status, name) for name, status in IMAGE_STATUS.items())


def _problem_codes() -> Iterator[tuple[int, str]]:
    """Status and code of every `ProblemError` that the server's sources raise with both written out."""
    folder = Path(http.__file__).parent
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ProblemError":
                match node.args:
                    case [ast.Constant(value=int(status)), ast.Constant(value=str(name)), *_]:
                        yield status, name
