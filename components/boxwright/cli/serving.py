"""`boxwright predict` and `boxwright serve`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from boxwright.cli.options import ModelArgument, Trust, described, one_model
from boxwright.cli.progress import say_loading, shown
from boxwright.config import BatchInferenceConfig, ServingConfig, parse_record, parse_settings
from boxwright.errors import DataError, PartlyError, UsageError
from boxwright.serving.http import TOKEN_VARIABLE
from boxwright.storage import local_path, write_atomic

if TYPE_CHECKING:
    from boxwright.serving.batch import Looked
    from boxwright.serving.engine import Predictor

_SHORTEST_TOKEN = 16
_SERVING = ServingConfig.model_fields
_OPTIONS = ("host", "port", "follow", "trust_saved_model", "runtime", "threads")
_MODEL_HELP = described("model", BatchInferenceConfig)
_log = logging.getLogger("boxwright")
out = Console()

# A default is cut where the help is narrow; words are wrapped.
_DEFAULT_MODEL = BatchInferenceConfig.model_fields["model"].default
Model = Annotated[str | None, typer.Option(help=f"{_MODEL_HELP} If unset, {_DEFAULT_MODEL}.")]

RuntimeOption = Annotated[str, typer.Option("--runtime", metavar="RUNTIME", help=described("runtime", ServingConfig))]
Threads = Annotated[int, typer.Option(help=described("threads", ServingConfig))]


def predict(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Image files, folders and s3:// prefixes.")],
    model: Model = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE", min=0, max=1, help="Minimum score of a detection; if unset, the model's own threshold."
        ),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(parser=local_path, metavar="FOLDER", help="Folder for copies of the images with boxes drawn in."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per image.")] = False,
    trust_saved_model: Trust = False,
    runtime: RuntimeOption = _SERVING["runtime"].default,
    threads: Threads = _SERVING["threads"].default,
) -> None:
    """Detects objects in images and prints them; the exit code is 6 if some could not be processed, 1 if none could."""
    model = model or _DEFAULT_MODEL
    say_loading(model)
    from boxwright.registry import resolve_model
    from boxwright.serving.batch import images_at, look_at, record
    from boxwright.serving.engine import load_as_set

    chosen = {"trust_saved_model": trust_saved_model, "runtime": runtime, "threads": threads}
    limits = parse_record(ServingConfig, chosen)
    uris = list(dict.fromkeys(uri for given in images for uri in images_at(given)))
    predictor = load_as_set(resolve_model(model), limits)
    least = predictor.info.threshold if threshold is None else threshold
    names = _drawn_names(uris)
    refused = 0
    for number, looked in enumerate(_with_progress(look_at(predictor, uris, limits), len(uris)), start=1):
        told = record(looked, number, looked.uri, predictor.info, least)
        if "error" in told:
            refused += 1
            _log.error("%s: %s", looked.uri, told["error"])
        elif draw:
            _draw(looked, predictor, least, draw / names[looked.uri])
        _tell(told, as_json)
    if refused:
        kind = DataError if refused == len(uris) else PartlyError
        raise kind(f"{refused} of {len(uris)} images could not be processed; they are named above")


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        from boxwright.serving.engine import one_line

        typer.echo(one_line(told).decode())
        return
    if "error" in told:
        return
    out.print(f"[bold]{escape(told['file_name'])}[/bold]  {len(told['detections'])} found", soft_wrap=True)
    for detection in told["detections"]:
        x, y, width, height = detection["bbox"]
        box = f"x {x:.0f}  y {y:.0f}  {width:.0f} x {height:.0f}"
        out.print(f"  {detection['score']:.2f}  {escape(detection['label'])}  [dim]{box}[/dim]", soft_wrap=True)


def _drawn_names(uris: Sequence[str]) -> dict[str, str]:
    """A file name for each image; where folders have files of one name, the later ones get a number."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for uri in uris:
        stem = PurePosixPath(uri).stem
        name, number = f"{stem}.png", 2
        while name in taken:
            name, number = f"{stem}-{number}.png", number + 1
        taken.add(name)
        names[uri] = name
    return names


def _draw(looked: Looked, predictor: Predictor, threshold: float, path: Path) -> None:
    from boxwright.serving.engine import Detections, draw_answer

    if looked.picture is not None and isinstance(looked.result, Detections):
        shown = looked.result.at_least(threshold)
        write_atomic(path, draw_answer(looked.picture, shown, predictor.info.classes))


def _with_progress(looked: Iterator[Looked], total: int) -> Iterator[Looked]:
    with shown("images") as tell:
        for done, one in enumerate(looked, start=1):
            yield one
            tell(done, total)


def serve(
    argument: ModelArgument = None,
    model: Model = None,
    host: Annotated[str, typer.Option(help=described("host", ServingConfig))] = _SERVING["host"].default,
    port: Annotated[int, typer.Option(help=described("port", ServingConfig))] = _SERVING["port"].default,
    follow: Annotated[bool, typer.Option("--follow", help=described("follow", ServingConfig))] = False,
    trust_saved_model: Trust = False,
    runtime: RuntimeOption = _SERVING["runtime"].default,
    threads: Threads = _SERVING["threads"].default,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Limit, by default "
            + ", ".join(f"{name}={field.default}" for name, field in _SERVING.items() if name not in _OPTIONS)
            + ".",
        ),
    ] = None,
) -> None:
    """Serves a model over HTTP until stopped. If BOXWRIGHT_TOKEN is set, clients must send it as a bearer token."""
    given = (host, port, follow, trust_saved_model, runtime, threads)
    values: dict[str, Any] = dict(zip(_OPTIONS, given, strict=True))
    config = parse_record(ServingConfig, values | parse_settings(settings or [], _SERVING))
    serve_until_stopped(one_model(argument, model, _DEFAULT_MODEL), config, _token())


def serve_until_stopped(model: str, config: ServingConfig, token: str | None) -> None:
    """Serves a model, and says where when it is ready."""
    say_loading(model)
    from boxwright.serving.http import serve as run_server

    def ready(url: str, reference: str) -> None:
        typer.echo(f"serving {reference} on {url}")

    run_server(model, config, token, ready)


def _token() -> str | None:
    """The token, from the environment: a command line is for everybody to see."""
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise UsageError(
            f"{TOKEN_VARIABLE} is too easy to guess: use at least {_SHORTEST_TOKEN} printable ASCII characters"
        )
    return token
