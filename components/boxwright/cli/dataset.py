"""`boxwright rules`, `validate` and `convert`: what can be done with a dataset without a run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from boxwright.cli.options import Report as ReportFolder
from boxwright.cli.options import described
from boxwright.config import ANNOTATIONS_FILE, PREFIXES, ValidationConfig, flat_names, parse_settings, run_fields
from boxwright.dataset.importing import (
    EXPORTS,
    FORMATS,
    Account,
    Converted,
    ConvertOptions,
    Frame,
    OnInvalid,
    convert_dataset,
    export_dataset,
)
from boxwright.dataset.validation import REPORT_FILE, RULES, Finding, Report, Rule, foremost
from boxwright.errors import UsageError
from boxwright.storage import local_path

_SHOWN = 50
_SECTION = "data_validation"

out = Console()


def rules(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False) -> None:
    """Lists the validation rules with their severities and thresholds."""
    if as_json:
        typer.echo(json.dumps([_described(rule) for rule in RULES.values()]))
        return
    # A name that is cut cannot be copied into `severities`.
    table = Table(
        Column("rule", no_wrap=True), "severity", Column("threshold", overflow="fold"), "what holds", box=None
    )
    for rule in RULES.values():
        threshold = "" if rule.threshold is None else f"{rule.threshold:g} ({rule.setting})"
        style = "red" if rule.severity == "error" else "yellow"
        table.add_row(rule.name, f"[{style}]{rule.severity}[/{style}]", threshold, escape(rule.description))
    out.print(table)


def _described(rule: Rule) -> dict[str, Any]:
    shown = ("name", "scope", "severity", "threshold", "setting", "description", "advice")
    return {name: getattr(rule, name) for name in shown}


def validate(
    uri: Annotated[
        str,
        typer.Argument(help="Folder or s3:// prefix of a dataset, or of a folder whose sub-folders are its splits."),
    ],
    bbox_format: Annotated[str | None, typer.Option(help=described("bbox_format", ValidationConfig))] = None,
    on_invalid: Annotated[str | None, typer.Option(help=described("on_invalid", ValidationConfig))] = None,
    annotations_file: Annotated[
        str, typer.Option("--annotations-file", help=described("annotations_file"))
    ] = ANNOTATIONS_FILE,
    image_size: Annotated[
        int | None, typer.Option(help="Height and width of the model's input in pixels, for rules about small boxes.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A run's setting of validation, such as validation_small_box_pixels=2 or "
            "validation_severities=RULE=off; may be repeated.",
        ),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Download the images and check each of them as well.")
    ] = False,
    report: ReportFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as one JSON object.")] = False,
) -> None:
    """Validates a dataset: annotations and file names, with --images also the images. Names every bad record."""
    from boxwright.api import examined, validation_config

    config = validation_config(uri, annotations_file, image_size, _settings(settings, bbox_format, on_invalid))
    found = examined(config, report, images)
    if as_json:
        typer.echo(json.dumps(found.to_dict()))
    else:
        _show(found)
    found.raise_if_errors(None if report is None else report / REPORT_FILE)


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            parser=local_path,
            metavar="SOURCE",
            help="Folder or archive of a dataset in another format, or its annotations file.",
        ),
    ],
    out_dir: Annotated[
        Path,
        typer.Argument(
            parser=local_path, metavar="FOLDER", help="New or empty folder for images/ and annotations.json."
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option("--from", help=f"Format of the source: {', '.join(FORMATS)}; told from its files if unset."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            parser=local_path,
            metavar="FOLDER",
            help="Folder of the images, if they are not to be looked for beside the annotations.",
        ),
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch", help="Fetch images that the annotations name by s3:// addresses, as Ground Truth's do."
        ),
    ] = False,
    boxes: Annotated[
        Frame | None,
        typer.Option(help="What boxes are drawn on where an EXIF flag turns the picture: as shown, or as stored."),
    ] = None,
    on_invalid: Annotated[
        OnInvalid, typer.Option(help="Broken records: end and name all, or leave them out and name all.")
    ] = "fail",
    strict: Annotated[bool, typer.Option("--strict", help="End if anything of the source would be lost.")] = False,
    reencode: Annotated[
        bool, typer.Option("--reencode", help="Write pictures that are not JPEG or PNG as PNG.")
    ] = False,
    split: Annotated[
        str | None,
        typer.Option(metavar="SHARES", help="Shares of training, validation and test to draw, as 0.8,0.1,0.1."),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Regular expression; images with the same text in it stay in one split."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help=f"Write a dataset of Boxwright's in another format: {', '.join(EXPORTS)}."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole account as one JSON object.")] = False,
) -> None:
    """Converts a dataset of another format to Boxwright's, or back, and accounts for all that is in it."""
    if to is not None:
        if kind or images or fetch or boxes or split or group_by or reencode:
            raise UsageError("--to goes with --strict and --json only; SOURCE is a dataset in Boxwright's format")
        _show_exported(out_dir, export_dataset(source, out_dir, to, strict), as_json)
        return
    options = ConvertOptions(kind, images, strict, on_invalid, boxes, reencode, split, group_by, fetch)
    converted = convert_dataset(source, out_dir, options)
    if as_json:
        typer.echo(json.dumps(converted.account.to_dict() | {"classes": converted.classes, "splits": converted.images}))
    else:
        _show_account(out_dir, converted)


def _show_account(out_dir: Path, converted: Converted) -> None:
    account = converted.account
    if account.recognised:
        _say(f"recognised: {account.recognised}")
    came, crowds = account.came_out, converted.crowds
    splits = ", ".join(f"{split} {number}" for split, number in converted.images.items() if split)
    _say(
        f"{out_dir}: {came.images} images, {came.boxes} boxes, classes {', '.join(converted.classes)}"
        + (f"; {crowds} of them around crowds, which no model is trained on" if crowds else "")
        + (f"; {came.negatives} images without boxes" if came.negatives else "")
        + (f"; splits: {splits}" if splits else "")
    )
    for remark in account.remarks:
        _say(f"  {remark}")


def _show_exported(out_dir: Path, account: Account, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(account.to_dict()))
        return
    came = account.came_out
    _say(f"{out_dir}: {came.images} images, {came.boxes} boxes, {came.classes} classes")
    for remark in account.remarks:
        _say(f"  {remark}")


def _say(line: str) -> None:
    out.print(line, soft_wrap=True, markup=False, highlight=False)


def _settings(given: list[str] | None, bbox_format: str | None, on_invalid: str | None) -> dict[str, Any]:
    """Settings of validation by the names of its record; in `given` they have those of a run, or these."""
    fields = {flat: run_fields()[flat] for flat, (section, _) in flat_names().items() if section == _SECTION}
    named = [
        f"{PREFIXES[_SECTION]}{text}" if _name(text) in ValidationConfig.model_fields else text for text in given or []
    ]
    values = parse_settings(named, fields)
    options = {"bbox_format": bbox_format, "on_invalid": on_invalid}
    return options | {name.removeprefix(PREFIXES[_SECTION]): value for name, value in values.items()}


def _name(setting: str) -> str:
    return setting.partition("=")[0]


def _show(report: Report) -> None:
    for name, facts in report.splits.items():
        counts = f"{facts['images']} images, {facts['boxes']} boxes"
        negatives = f", {without} without boxes" if (without := facts.get("images_without_boxes")) else ""
        checked = f", {seen} images checked" if (seen := facts.get("images_checked")) is not None else ""
        unused = f", {unread} files that no record names" if (unread := facts.get("unused_files")) else ""
        out.print(f"{name}: {counts}{negatives}{checked}{unused}  {facts['annotations']}", soft_wrap=True, markup=False)
    shown = foremost(report.findings, _SHOWN)
    for finding in shown:
        _show_finding(finding)
    if more := Counter(found.rule for found in report.findings) - Counter(found.rule for found in shown):
        of_each = ", ".join(f"{count} {rule}" for rule, count in more.most_common())
        out.print(f"... and {more.total()} more ({of_each}); --report DIR or --json gives all of them", soft_wrap=True)
    if report.dropped:
        out.print(f"{len(report.dropped)} records would be dropped")
    looked_at = [facts for facts in report.splits.values() if "images_checked" in facts]
    if unchecked := sum(facts["images"] - facts["images_checked"] for facts in looked_at):
        out.print(f"{unchecked} images were not checked: what is wrong with their records or files comes first")
    errors, warnings = len(report.errors), len(report.warnings)
    verdict = "[red]not usable[/red]" if errors else "[green]usable[/green]"
    out.print(f"{verdict} ({errors} errors, {warnings} warnings)")


def _show_finding(finding: Finding) -> None:
    style = "red" if finding.severity == "error" else "yellow"
    out.print(f"[{style}]{finding.severity}[/{style}] {escape(str(finding))}", soft_wrap=True)
