"""`boxwright registry list | show | promote | rollback`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from boxwright.cli.options import AsJson
from boxwright.cli.tables import show_rows, table, wide_console
from boxwright.config import CHAMPION
from boxwright.errors import UsageError

if TYPE_CHECKING:
    from boxwright.registry import Registry, Version

app = typer.Typer(no_args_is_help=True, help="Shows the model registry and changes the champion.")

_CLASSES_SHOWN = 20


@app.command("list")
def list_versions(
    name: Annotated[str | None, typer.Argument(help="Registered model; if unset, the champions of all models.")] = None,
    as_json: AsJson = False,
) -> None:
    """Lists the versions of a model, newest first, or the champions of all models."""
    registry = _registry()
    rows = _champions(registry) if name is None else _rows(registry, name)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    found = table("version", "alias", "accepted", "as of", "AP", "AP50", "parent", "dataset", "run")
    for row in rows:
        found.add_row(
            row["reference"],
            ", ".join(row["aliases"]),
            "yes" if row["accepted"] else "[red]no[/red]",
            row["as_of"][:16].replace("T", " "),
            _number(row["metrics"].get("AP")),
            _number(row["metrics"].get("AP50")),
            escape(row["parent"] or ""),
            row["fingerprint"][:12],
            escape(row["run_id"]),
        )
    if rows:
        show_rows(found)
    else:
        typer.echo("no versions")


@app.command()
def show(
    reference: Annotated[str, typer.Argument(help="models:/NAME/VERSION or models:/NAME@ALIAS.")],
    as_json: AsJson = False,
) -> None:
    """Shows everything that the registry holds about a version."""
    version = _registry().resolve(reference)
    facts = _facts(version, version.aliases) | _details(version)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    shown = table("name", "value", show_header=False, box=None)
    for name, value in facts.items():
        shown.add_row(f"[cyan]{name.replace('_', ' ')}[/cyan]", escape(_shown(value)))
    wide_console().print(shown)


@app.command()
def promote(
    reference: Annotated[str, typer.Argument(help="models:/NAME/VERSION, or models:/NAME@candidate.")],
    expect: Annotated[int | None, typer.Option(help="Promote only if the champion still is this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Makes a version the champion; the former champion gets the alias `previous`."""
    version, before = _registry().promote(reference, expect)
    _moved(version, before, as_json)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Registered model.")],
    reject: Annotated[
        bool, typer.Option("--reject", help="Reject the replaced champion, so that no later run starts from it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Makes the previous champion the champion again."""
    went, came = _registry().rollback(name, reject)
    _moved(came, went, as_json)


def _registry() -> Registry:
    from boxwright.registry import open_registry

    return open_registry()


def _rows(registry: Registry, name: str) -> list[dict[str, Any]]:
    from boxwright.registry import no_versions

    aliases, versions = registry.aliases(name), registry.versions(name)
    if not versions:
        raise UsageError(no_versions(name, registry.models()))
    return [_facts(version, _names(version, aliases)) for version in reversed(versions)]


def _champions(registry: Registry) -> list[dict[str, Any]]:
    found = ((registry.named(model.name, CHAMPION), model.aliases) for model in registry.models())
    return [_facts(version, _names(version, aliases)) for version, aliases in found if version]


def _names(version: Version, aliases: Mapping[str, int]) -> list[str]:
    return [alias for alias, number in sorted(aliases.items()) if number == version.version]


def _facts(version: Version, aliases: Sequence[str]) -> dict[str, Any]:
    return {
        "reference": version.reference,
        "aliases": list(aliases),
        "accepted": version.accepted,
        "as_of": version.as_of.isoformat(),
        "metrics": version.metrics,
        "parent": version.parent,
        "fingerprint": version.tags.get("boxwright.fingerprint", ""),
        "run_id": version.run_id,
    }


def _details(version: Version) -> dict[str, Any]:
    """The facts that `list` leaves out, by the names of the tags."""
    tags = {name.removeprefix("boxwright."): value for name, value in version.tags.items()}
    texts = ("model_id", "interval_start", "run_url", "code_version", "recipe")
    objects = ("label_map", "hyperparameters", "config")
    return {
        "archive": version.archive_uri,
        **{name: tags.get(name) for name in texts},
        **{name: _read(tags[name]) if name in tags else None for name in objects},
    }


def _read(tag: str) -> Any:
    """The object in a tag, or its text: people and other tools write tags too."""
    try:
        return json.loads(tag)
    except (ValueError, RecursionError):
        return tag


def _moved(champion: Version, before: Version | None, as_json: bool) -> None:
    facts = {"champion": champion.reference, "before": before.reference if before else None}
    if as_json:
        typer.echo(json.dumps(facts))
    elif before and before.version == champion.version:
        typer.echo(f"{champion.reference} is the champion already")
    else:
        typer.echo(f"champion is {champion.reference}, before it was {facts['before'] or 'none'}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name}={_shown(item)}" for name, item in value.items())
    if isinstance(value, list):
        more = f" and {len(value) - _CLASSES_SHOWN} more" if len(value) > _CLASSES_SHOWN else ""
        return ", ".join(str(item) for item in value[:_CLASSES_SHOWN]) + more
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
