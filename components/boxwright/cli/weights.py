"""`boxwright weights import | list | pull | verify`."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from boxwright.cli.options import AsJson, described
from boxwright.cli.tables import show_rows, table
from boxwright.errors import DataError, StorageError, UsageError
from boxwright.model import MODELS, ModelSpec, model_spec
from boxwright.model.weights import WeightsManifest, find_manifest, put, store_uri, verify
from boxwright.storage import sha256_of

ZOO_URL = "https://storage.googleapis.com/download.tensorflow.org/models/object_detection/tf2/20200711"
_LARGEST_ARCHIVE = 2 << 30
_CHUNK = 1 << 20
_TIMEOUT = 30.0
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")

app = typer.Typer(no_args_is_help=True, help="Manages the store of published weights that training starts from.")
out = Console()
log = logging.getLogger("boxwright.weights")

ModelId = Annotated[str, typer.Argument(help="Model id, as `boxwright models` lists it.")]
WeightsUri = Annotated[str | None, typer.Option(help=described("weights_uri"))]


@app.command("import")
def import_archive(
    model_id: ModelId,
    file: Annotated[Path, typer.Argument(help="Published archive, a .tar.gz.", exists=True, dir_okay=False)],
    weights_uri: WeightsUri = None,
) -> None:
    """Imports the weights of a published archive into the store; all of its variables must fit the model."""
    _import(_stored_spec(model_id), file, weights_uri)


@app.command("pull")
def pull(
    model_id: ModelId,
    weights_uri: WeightsUri = None,
    url: Annotated[
        str, typer.Option(help="URL of the folder with the archives, of the publisher or of a mirror.")
    ] = ZOO_URL,
    sha256: Annotated[
        str | None,
        typer.Option(
            help="Expected SHA-256 of the archive, in hexadecimal; if unset, that of the archive in the store. "
            "Required for a URL without https."
        ),
    ] = None,
) -> None:
    """Downloads a model's published archive and imports it.

    Its publisher states no digest. The first archive is trusted, for it comes over https, and its SHA-256 is kept: a
    later one has to be the same.
    """
    spec = _stored_spec(model_id)
    assert spec.weights is not None  # else it would not be stored
    known = find_manifest(store_uri(weights_uri, spec.model_id))
    kept = known.origin_sha256 if known else None
    expected = sha256.lower() if sha256 else kept
    _check_address(url, expected)
    with TemporaryDirectory(prefix="boxwright-weights-") as folder:
        archive = Path(folder, spec.weights.name)
        _fetch(f"{url.rstrip('/')}/{archive.name}", archive, model_id, expected)
        _check_digest(archive, expected, model_id, given=sha256 is not None)
        _import(spec, archive, weights_uri)


@app.command("list")
def list_weights(weights_uri: WeightsUri = None, as_json: AsJson = False) -> None:
    """Lists the models whose weights come from the store, and whether the store has them."""
    rows = [(spec, find_manifest(store_uri(weights_uri, spec.model_id))) for spec in _stored_specs()]
    if as_json:
        typer.echo(
            json.dumps([{"model_id": spec.model_id, "weights": found and found.model_dump()} for spec, found in rows])
        )
        return
    found_here = table("model_id", "archive", "COCO AP", "in the store", box=None)
    for spec, found in rows:
        assert spec.weights is not None
        size = f"{sum(file.size for file in found.files) / 1e6:.0f} MB" if found else "no"
        found_here.add_row(spec.model_id, spec.weights.name, f"{spec.coco_ap}", size)
    show_rows(found_here)


@app.command("verify")
def verify_weights(
    model_id: Annotated[str | None, typer.Argument(help="Model id; if unset, all models in the store.")] = None,
    weights_uri: WeightsUri = None,
    as_json: AsJson = False,
) -> None:
    """Compares the stored files with the SHA-256 digests of their import."""
    specs = [_stored_spec(model_id)] if model_id else _stored_specs()
    intact, broken = list[dict[str, Any]](), []
    for spec in specs:
        uri = store_uri(weights_uri, spec.model_id)
        try:
            if manifest := find_manifest(uri):
                verify(uri, manifest)
                intact.append({"model_id": spec.model_id, "variables": manifest.variables, "origin": manifest.origin})
            elif model_id:
                raise DataError(f"{uri} holds no weights")
        except DataError as error:
            broken.append(str(error))
    if as_json:
        typer.echo(json.dumps({"intact": intact, "broken": broken}))
    for one in intact if not as_json else ():
        out.print("{model_id}: intact, {variables} variables of {origin}".format(**one), soft_wrap=True, markup=False)
    if broken:
        raise DataError("; ".join(broken))
    if not intact and not as_json:
        out.print("the store is empty")


def _stored_specs() -> list[ModelSpec]:
    return [spec for spec in MODELS.values() if spec.weights and spec.weights.is_imported]


def _stored_spec(model_id: str) -> ModelSpec:
    spec = model_spec(model_id)
    if spec not in _stored_specs():
        known = ", ".join(spec.model_id for spec in _stored_specs())
        raise UsageError(f"{model_id} does not start from a published archive; valid are {known}")
    return spec


def _import(spec: ModelSpec, archive: Path, weights_uri: str | None) -> WeightsManifest:
    from boxwright.model.zoo import convert_archive

    uri = store_uri(weights_uri, spec.model_id)
    with TemporaryDirectory(prefix="boxwright-weights-") as folder:
        manifest = convert_archive(spec, archive, Path(folder))
        log.info("writing %s", uri)
        put(uri, Path(folder), manifest)
    out.print(f"{manifest.variables} variables of {archive.name} are in {uri}", soft_wrap=True, markup=False)
    return manifest


def _check_address(url: str, expected: str | None) -> None:
    """Refuses what anybody on the way could have changed: an address without https, where no digest is known."""
    address = urllib.parse.urlsplit(url)
    if address.username or address.password:
        raise UsageError(f"{url}: expected an address without a log-in; fetch the archive, then import it")
    if address.scheme not in ("http", "https"):
        raise UsageError(f"{url}: expected an http or https address")
    if address.scheme == "http" and address.hostname not in _THIS_MACHINE and expected is None:
        raise UsageError(f"{url} is not protected on its way; use https, or give the archive's digest with --sha256")


def _check_digest(archive: Path, expected: str | None, model_id: str, given: bool) -> None:
    found = sha256_of(archive)
    if expected is None:
        line = f"{archive.name} is trusted as the first of its kind; its SHA-256 is {found}"
        out.print(line, soft_wrap=True, markup=False)
    elif found != expected:
        whose = "--sha256" if given else f"the archive that the store's weights of {model_id} were made from"
        raise DataError(
            f"{archive.name} has the SHA-256 {found}; expected {expected}, of {whose}. If the publisher has replaced "
            f"it, repeat with --sha256 {found}"
        )


def _fetch(url: str, path: Path, model_id: str, expected: str | None) -> None:
    try:
        # Its scheme was looked at before, and is again.
        opened = urllib.request.urlopen(url, timeout=_TIMEOUT)  # noqa: S310
        with opened as answer, path.open("wb") as file, Progress() as progress:
            _check_address(answer.url, expected)  # where redirects led to
            total = int(answer.headers.get("Content-Length") or 0)
            task = progress.add_task(path.name, total=total or None)
            while block := answer.read(_CHUNK):
                file.write(block)
                progress.advance(task, len(block))
                if file.tell() > _LARGEST_ARCHIVE:
                    raise DataError(f"{url} is larger than {_LARGEST_ARCHIVE} bytes")
            if total and file.tell() != total:
                raise StorageError(f"{url}: expected {total} bytes, got {file.tell()}; run again")
    except urllib.error.HTTPError as error:
        raise StorageError(f"{url} answered {error.code} {error.reason}; name a mirror with --url") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise StorageError(
            f"{url} cannot be reached ({reason}). Without a network, fetch {path.name} elsewhere and run "
            f"`boxwright weights import {model_id} {path.name}`"
        ) from None
