"""The process that converts: `python -m boxwright.exporting.process` with the arguments of `main`.

Converters leak memory and change their libraries' global state, so each file is written in a process of its own.
Writes the artefact into `OUT_DIR`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from boxwright.exporting.apart import work_apart
from boxwright.exporting.calibrating import Calibration
from boxwright.exporting.facts import Differences, ExportFacts, threshold_of
from boxwright.exporting.formats import format_named
from boxwright.exporting.quantising import IN_FLOATS
from boxwright.model import WEIGHTS_FILE
from boxwright.packaging import export_label_map
from boxwright.storage import sha256_of
from boxwright.version import current_version

if TYPE_CHECKING:
    from boxwright.exporting.network import ExportNetwork


def main() -> int:
    """Converts and checks; returns the exit code.

    Arguments: model, folder to write into, format, precision, reference, and the calibration as JSON.
    """
    model_dir, out_dir, name, precision, reference, *calibrated = sys.argv[1:]
    calibration = Calibration.model_validate_json(calibrated[0]) if calibrated else None
    # OpenVINO's libraries tell their makers what is done with them, unless they run in a test.
    os.environ["CI"] = "true"

    def work() -> None:
        from boxwright.exporting.network import ExportNetwork

        network = ExportNetwork(Path(model_dir))
        write_artefact(network, Path(model_dir), Path(out_dir), name, precision, reference, calibration)

    return work_apart(Path(out_dir), work)


def write_artefact(
    network: ExportNetwork,
    model_dir: Path,
    out_dir: Path,
    name: str,
    precision: str,
    reference: str,
    calibration: Calibration | None = None,
) -> None:
    """Writes one format of a trained detector: network, `metadata.json`, label map, `README.md`.

    Args:
        network: of the detector.
        model_dir: what it was built from, with `metrics.json` and `sample.json` where they are there.
        out_dir: existing folder.
        name: of the format.
        precision: one of the format's.
        reference: the model, for messages and metadata.
        calibration: for a network in whole numbers.

    Raises:
        DataError: the file does not answer as the model does.
    """
    from boxwright.exporting.checking import check_export
    from boxwright.exporting.readme import write_readme

    kind = format_named(name)
    kind.writer()(network, out_dir, precision, calibration)
    facts = ExportFacts(
        format=name,
        precision=precision,
        file=kind.file,
        model_id=network.card.model_id,
        reference=reference,
        weights=sha256_of(model_dir / WEIGHTS_FILE),
        classes=network.card.classes,
        category_ids=network.card.category_ids,
        threshold=threshold_of(model_dir),
        input=network.fitting,
        tiling=network.card.tiling,
        outputs="detections" if kind.is_suppressed and network.is_plain else "candidates",
        choice=network.choice,
        in_floats=IN_FLOATS[calibration.level] if calibration else None,
        differences=Differences(pictures=0, boxes=0, scores=0, tolerance=0),
        code_version=current_version(),
    )
    facts = facts.model_copy(update={"differences": check_export(network, out_dir, facts, model_dir, calibration)})
    export_label_map(network.card.classes, network.card.category_ids, out_dir)
    write_readme(facts, out_dir)
    facts.write(out_dir)


if __name__ == "__main__":
    sys.exit(main())
