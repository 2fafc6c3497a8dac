"""Validation of a dataset without a run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from boxwright.api.arguments import dataset_uri, local_folder
from boxwright.api.run import page_frame
from boxwright.config import ANNOTATIONS_FILE, RunConfig, ValidationConfig, parse_config
from boxwright.dataset.annotations import splits_below
from boxwright.dataset.validation import REPORT_FILE, Finding, Report
from boxwright.errors import DataError, UsageError, did_you_mean

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Validation:
    """The findings of validation in a dataset. A notebook shows them as the report's page.

    Attributes:
        report: all of it: splits, rules, findings, dropped records.
        html: source of the report's page.
    """

    report: Report = field(repr=False)
    html: str = field(repr=False)

    @property
    def usable(self) -> bool:
        """Whether a run would take the dataset: no finding is an error."""
        return not self.report.errors

    @property
    def findings(self) -> list[Finding]:
        """Every record that breaks a rule."""
        return list(self.report.findings)

    def to_dataframe(self) -> pandas.DataFrame:
        """The findings, one a row: `rule`, `severity`, `split`, `list`, `index`, `file`, `value`, `advice`."""
        import pandas

        columns = list(Finding.__slots__)
        return pandas.DataFrame([[getattr(one, name) for name in columns] for one in self.findings], columns=columns)

    def __repr__(self) -> str:
        errors, warnings = len(self.report.errors), len(self.report.warnings)
        return f"<Validation: {'usable' if self.usable else 'not usable'}, {errors} errors, {warnings} warnings>"

    def _repr_html_(self) -> str:
        return page_frame(self.html)


def validate(
    dataset: str | Path,
    *,
    images: bool = False,
    image_size: int | None = None,
    annotations_file: str = ANNOTATIONS_FILE,
    report: str | Path | None = None,
    **settings: Any,
) -> Validation:
    """Validates a dataset.

    Args:
        dataset: folder or s3:// prefix; of one with splits below it all of them.
        images: whether to fetch the images and check each of them as well.
        image_size: height and width of the model's input in pixels, for rules about small boxes.
        annotations_file: name of the annotations file.
        report: folder for the report, its page and its pictures; none is kept if unset.
        **settings: of validation, as `on_invalid="drop"` or `severities={"degenerate_box": "off"}`.

    Returns:
        The findings; that the annotations file is missing or broken is one of them.

    Raises:
        UsageError, StorageError: a setting is wrong, or storage cannot be read.
    """
    for name in settings:
        if name not in ValidationConfig.model_fields:
            near = did_you_mean(name, ValidationConfig.model_fields)
            raise UsageError(f"{name} is not a setting of validation{near}")
    config = validation_config(dataset_uri(dataset), annotations_file, image_size, settings)
    with TemporaryDirectory(prefix="boxwright-validate-") as temporary:
        folder = Path(temporary) if report is None else local_folder(report, "report")
        found = examined(config, folder, images)
        from boxwright.dataset.report import PAGE_FILE

        return Validation(found, (folder / PAGE_FILE).read_text())


def validation_config(
    uri: str, annotations_file: str, image_size: int | None, settings: Mapping[str, Any]
) -> RunConfig:
    """The configuration of a run that would be trained on all splits below a URI, as far as validation asks for it."""
    base = {"training": uri, "output": uri, "annotations_file": annotations_file, "data_validation": dict(settings)}
    config = parse_config({**base, "hyperparameters": {"image_size": image_size}})
    return config.model_copy(update=splits_below(uri, config.annotations_file))


def examined(config: RunConfig, folder: Path | None, images: bool) -> Report:
    """The report on a run's datasets.

    Args:
        config: of the run.
        folder: receives the report and its page; None for neither.
        images: whether to fetch and check the images, too.
    """
    from boxwright.dataset.report import PAGE_FILE, write_early_page
    from boxwright.dataset.validation import examine

    found = examine(config, folder)
    if folder is not None:
        found.write(folder / REPORT_FILE)
        write_early_page(folder / PAGE_FILE, found)
    return _with_images(config, found, folder) if images else found


def _with_images(config: RunConfig, report: Report, folder: Path | None) -> Report:
    """The report with the findings about the images, which are fetched to a temporary folder; `folder` receives it."""
    from boxwright.dataset.report import PAGE_FILE
    from boxwright.dataset.snapshot import check_images, download_dataset

    with TemporaryDirectory() as temporary:
        dataset = Path(temporary, "dataset")
        if report.errors:
            check_images(config, report, dataset)
        else:
            report.write(validated := Path(temporary, REPORT_FILE))
            try:
                download_dataset(config, dataset, validated)
            except DataError:
                if not (dataset / REPORT_FILE).exists():
                    raise
        if folder is not None:
            for name in (REPORT_FILE, PAGE_FILE):
                shutil.copyfile(dataset / name, folder / name)
        return Report.read(dataset / REPORT_FILE)
