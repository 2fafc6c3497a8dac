"""A trained model in this process."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from boxwright.api.arguments import dataset_uri, local_folder, model_uri, score_of
from boxwright.api.detections import Detections
from boxwright.api.pixels import Images, several
from boxwright.config import (
    ANNOTATIONS_FILE,
    BatchInferenceConfig,
    EvaluationConfig,
    Runtime,
    ServingConfig,
    parse_record,
)
from boxwright.errors import DataError, PartlyError, UsageError

if TYPE_CHECKING:
    from boxwright.api.pixels import OneImage
    from boxwright.api.server import Server
    from boxwright.evaluation import EvaluationSummary
    from boxwright.serving.batch import Looked


class Detector:
    """A model that finds objects on images.

    Several threads may use it; they take turns. Sent to another process (pickled), it is the same model, opened there.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or the path or URI of a `model.tar.gz` or of a folder with
            what is in one.
        runtime: `tensorflow`; `litert` or `openvino`, to which the model is exported once on this machine; or `auto`
            for the fastest that is installed and takes the model.
        threads: of such a runtime; 0 for one a core.
        trust_saved_model: whether to run the program in the archive's `saved_model/`, in place of a network of the
            catalogue with its weights; only if you know who made it. The archive may be one of the managed algorithm.

    Raises:
        DataError: the archive is not one of a run, or does not see what it saw when it was measured.
        UsageError, StorageError: there is no such model, or it cannot be fetched.
    """

    def __init__(
        self,
        model: str | Path = BatchInferenceConfig.model_fields["model"].default,
        *,
        runtime: Runtime = ServingConfig.model_fields["runtime"].default,
        threads: int = ServingConfig.model_fields["threads"].default,
        trust_saved_model: bool = False,
    ) -> None:
        from boxwright.quiet import quieten
        from boxwright.registry import resolve_model
        from boxwright.serving.engine import Decoders, load_as_set

        quieten(lean=False)
        chosen = {"runtime": runtime, "threads": threads, "trust_saved_model": trust_saved_model}
        self._limits = parse_record(ServingConfig, chosen)
        self._source = resolve_model(model_uri(model))
        self._predictor = load_as_set(self._source, self._limits)
        self._decoders = Decoders(1, self._limits.max_pixels, self._limits.decode_timeout)
        weakref.finalize(self, self._decoders.stop)

    @property
    def model(self) -> str:
        """The model: `models:/NAME/VERSION`, an alias resolved, or its path or URI."""
        return self._source.reference

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that it knows."""
        return self._predictor.info.classes

    @property
    def threshold(self) -> float:
        """Its own minimum score, with the best F1 on the images that it was measured on."""
        return self._predictor.info.threshold

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process opens the model anew: what it runs on is none that can be sent.
        return partial(Detector, self.model, **self._chosen()), ()

    def __repr__(self) -> str:
        return f"<Detector {self.model}: {', '.join(self.class_names)}>"

    @overload  # a str is a sequence of str, and means one image
    def detect(self, images: OneImage, threshold: float | None = None) -> Detections: ...  # type: ignore[overload-overlap]

    @overload
    def detect(self, images: Sequence[OneImage], threshold: float | None = None) -> list[Detections]: ...

    def detect(
        self, images: OneImage | Sequence[OneImage], threshold: float | None = None
    ) -> Detections | list[Detections]:
        """Finds the objects on an image, or on each image of a list.

        Args:
            images: path or URI of a JPEG or PNG, its bytes, a PIL image, or an array `(height, width, 3)` of uint8 in
                the order red, green, blue (OpenCV's arrays are the other way round: `array[..., ::-1]`).
            threshold: minimum score; the model's own if unset.

        Raises:
            DataError: an image cannot be read; of a list, all such are named.
            UsageError: it is not an image, or it is a folder, which `detect_all` takes.
        """
        if isinstance(images, list | tuple):
            return list(self.detect_all(images, threshold))
        if isinstance(images, str | Path) and images and Path(images).is_dir():
            raise UsageError(f"{images} is a folder; `detect_all` takes it")
        return next(self.detect_all([images], threshold))  # type: ignore[list-item]

    def detect_all(
        self, images: str | Path | Sequence[OneImage], threshold: float | None = None
    ) -> Iterator[Detections]:
        """Finds the objects on many images, in batches, each as soon as it is there.

        Args:
            images: folder, s3:// prefix or list of images.
            threshold: minimum score; the model's own if unset.

        Raises:
            PartlyError: after the last one, some could not be read; all such are named.
            DataError: none could be read, or there is none.
            UsageError, StorageError: something is not an image, or storage cannot be read.
        """
        least = self.threshold if threshold is None else score_of(threshold)
        from boxwright.serving.engine import Detections as Found

        problems, total = [], 0
        for total, looked in enumerate(self._looked_at(images), start=1):  # noqa: B007
            if looked.picture is None or not isinstance(looked.result, Found):
                problems.append(f"{looked.uri}: {looked.result}")
                continue
            yield Detections(looked.uri, looked.picture, looked.result.at_least(least), self._predictor.info)
        if problems:
            kind = DataError if len(problems) == total else PartlyError
            raise kind(problems[0] if total == 1 else f"{len(problems)} of {total} images: " + "; ".join(problems))

    def evaluate(
        self,
        dataset: str | Path,
        report: str | Path | None = None,
        *,
        annotations_file: str = ANNOTATIONS_FILE,
        **settings: Any,
    ) -> EvaluationSummary:
        """Measures the model on a dataset.

        Args:
            dataset: folder or s3:// prefix; of one with splits below it the test split is taken.
            report: folder for the HTML report and the detections; none is kept if unset.
            annotations_file: name of the annotations file.
            **settings: of the evaluation, as `voc=True`.

        Returns:
            `metrics` (COCO's by name), `per_class`, and what the report shows.
        """
        return self._measured(dataset, report, annotations_file, settings, None)

    def compare(
        self,
        other: str | Path | Detector,
        dataset: str | Path,
        report: str | Path | None = None,
        *,
        annotations_file: str = ANNOTATIONS_FILE,
        **settings: Any,
    ) -> EvaluationSummary:
        """Measures this model and another one on the same images.

        Args:
            other: the one to beat; differences are this model minus the other.
            dataset: see `evaluate`, as all that follows.
            report: folder for the HTML report and the detections.
            annotations_file: name of the annotations file.
            **settings: of the evaluation.

        Returns:
            As `evaluate`; its `comparison` has each difference with its 95 % interval.
        """
        against = other.model if isinstance(other, Detector) else model_uri(other)
        summary = self._measured(dataset, report, annotations_file, settings, against)
        if summary.comparison is None:
            raise DataError(f"{against} was not measured: {summary.champion and summary.champion.problem}")
        return summary

    def export(self, output: str | Path, format: str = "litert", precision: str | None = None) -> Path:
        """Writes the model in a format that runs without TensorFlow and without Boxwright, checked by numbers.

        Args:
            output: folder that gets the network, its label map and a `README.md` with the lines that run it; an earlier
                export there is replaced.
            format: `litert`, `onnx` or `openvino`.
            precision: of the weights, one of the format's; `float32` if unset.

        Returns:
            The folder.

        Raises:
            UsageError: there is no such format or precision, a library is missing, the model's family has no export, or
                the folder has other files.
            DataError: the file does not answer as the model does.
        """
        from boxwright.exporting import METADATA_FILE, export_model
        from boxwright.registry import open_model

        folder = local_folder(output, "output")
        if not (folder / METADATA_FILE).exists() and any(folder.iterdir()):
            raise UsageError(f"output={folder} has other files, which would be replaced; choose a new or empty folder")
        with open_model(self._source) as files:
            export_model(files, folder, format, precision, self.model)
        return folder

    def serve(self, port: int = ServingConfig.model_fields["port"].default, **settings: Any) -> Server:
        """Serves the model over HTTP in a process of its own, until `stop()` of the server or the end of its block.

        The server runs the network as this detector does: `runtime`, `threads` and `trust_saved_model` are its own.

        Args:
            port: of 127.0.0.1; 0 for a free one.
            **settings: limits of the server, as `max_batch=4`.
        """
        from boxwright.api.server import start_server

        return start_server(self.model, port, self._chosen() | settings)

    def _chosen(self) -> dict[str, Any]:
        return self._limits.model_dump(include={"runtime", "threads", "trust_saved_model"})

    def _measured(
        self,
        dataset: str | Path,
        report: str | Path | None,
        annotations_file: str,
        settings: dict[str, Any],
        against: str | None,
    ) -> EvaluationSummary:
        from boxwright.registry import measure_model

        answering = None
        if self._limits.trust_saved_model:
            from boxwright.serving.engine import PredictorAnswers

            answering = PredictorAnswers(self._predictor)
        uri = dataset_uri(dataset)
        config = parse_record(EvaluationConfig, settings)
        folder = None if report is None else local_folder(report, "report")
        return measure_model(self.model, uri, folder, against, annotations_file, config, answering)

    def _looked_at(self, images: str | Path | Sequence[OneImage]) -> Iterator[Looked]:
        from boxwright.serving.batch import images_at, look_at

        given = Images(images_at(str(images)) if isinstance(images, str | Path) else several(images))
        fetch = partial(given.read, limit=self._limits.max_bytes)
        return look_at(self._predictor, given.names, self._limits, self._decoders, fetch)
