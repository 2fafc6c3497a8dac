"""Formats that are not read: how each is told by its files, so that a refusal names it and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from boxwright.dataset.importing.readers.tf_records import is_record_file
from boxwright.dataset.importing.source import Reading, head_of, shown

_TOLD_BY = 1 << 16  # bytes
_LOOKED_AT = 20  # files of each ending
_NUMBER = r"-?\d+(?:\.\d+)?"
_AS_COCO = "export it as COCO or Pascal VOC"
_RECORDS = "write them as the Object Detection API has them, or as COCO"
_BY_DATUMARO = "datumaro reads it and writes COCO: datum convert -f coco"


@dataclass(frozen=True)
class Other:
    """A format that is not read.

    Attributes:
        title: its name in sentences.
        way_out: what makes a format of it that is read.
        endings: of the files that it is told by.
        marks: what the beginning of such a file has, all of them.
    """

    title: str
    way_out: str
    endings: tuple[str, ...]
    marks: tuple[str, ...]

    @cached_property
    def _patterns(self) -> list[re.Pattern[bytes]]:
        return [re.compile(mark.encode(), re.M) for mark in self.marks]

    def fits(self, name: str, head: bytes) -> bool:
        """Whether a file is of this format, by its name and beginning."""
        return name.lower().endswith(self.endings) and all(pattern.search(head) for pattern in self._patterns)


_JSON = (".json", ".jsonl", ".ndjson")
OTHERS = (
    Other("VIA's annotations", "VIA 2 exports COCO: Annotation, Export Annotations", (".json",),
          (r'"_via_img_metadata"|"shape_attributes"|"__VIA__"',)),
    Other("VIA's CSV", "VIA 2 exports COCO: Annotation, Export Annotations", (".csv",), ("region_shape_attributes",)),
    Other("VoTT's JSON", "let VoTT export CSV or Pascal VOC", (".json", ".vott"),
          (r'"regions"\s*:', r'"assets?"\s*:')),
    Other("Supervisely's JSON", _AS_COCO, (".json",), ('"classTitle"|"classId"', '"exterior"|"geometryType"')),
    Other("Datumaro's JSON", _BY_DATUMARO, (".json",), (r'"items"\s*:\s*\[', r'"categories"\s*:\s*\{')),
    Other("V7 Darwin's JSON", "export it as COCO", (".json",),
          (r'"annotations"\s*:\s*\[', r'"item"\s*:\s*\{|"image"\s*:\s*\{', '"bounding_box"|"slot_names"|"polygon"')),
    Other("Scale's tasks", "write COCO from them", _JSON, ('"task_id"', '"attachment"|"response"')),
    Other("Labelbox's export", "labelbox's converters write COCO", _JSON,
          (r'"data_row"\s*:|"DataRow ID"|"Labeled Data"',)),
    Other("Encord's labels", "export it as COCO", (".json",),
          ('"data_units"|"label_hash"', '"object_answers"|"labels"')),
    Other("Dataturks' JSON", "write Pascal VOC from it", _JSON, (r'"content"\s*:', r'"annotation"\s*:\s*\[')),
    Other("SuperAnnotate's JSON", "superannotate's SDK converts it to COCO", (".json",),
          (r'"instances"\s*:\s*\[', '"className"|"classId"')),
    Other("BDD100K's JSON", "bdd100k.label.to_coco writes COCO", (".json",), ('"box2d"|"poly2d"',)),
    Other("Dataloop's JSON", "export it as COCO", (".json",), (r'"coordinates"\s*:\s*\[', r'"annotations"\s*:\s*\[')),
    Other("Vertex AI's import file", "write COCO from it", _JSON, ("boundingBoxAnnotations",)),
    Other("Azure's JSON Lines", "export it as COCO", _JSON, ('"image_url"', '"topX"|"label"')),
    Other("Hugging Face's metadata", "write COCO from it", _JSON, (r'"file_name"\s*:', r'"objects"\s*:\s*\{')),
    Other("FiftyOne's samples", "export it with dataset_type=fiftyone.types.COCODetectionDataset", (".json",),
          ('"_cls"|"filepath"', '"samples"')),
    Other("COCO's results, which are what a model found", "give the ground truth", (".json",),
          (r"\A\[", '"image_id"', '"category_id"', '"score"')),
    Other("Label Studio's table", "export it as JSON", (".csv", ".tsv"), (r'""(?:rectangle|polygon|ellipse)labels""',)),
    Other("a table of classes of whole images, without boxes", "give the set with its boxes", (".csv",),
          (r"\A\s*\"?filename\"?\s*(?:[,;]\s*[^,;\n]+)+\n[^,;\n]+(?:[,;]\s*[01]\s*)+$",)),
    Other("a table with a whole box in one column", "give it a column for each of xmin, ymin, xmax and ymax", (".csv",),
          (rf"\"?[\[(]\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*[\])]",)),
    Other("Keras YOLO's list", _AS_COCO, (".txt",),
          (r"\A[^\n]*\.(?:jpe?g|png)\s+\d+,\d+,\d+,\d+,\d+",)),
    Other("DOTA's text, also of YOLOv5-OBB", "export it as YOLOv8-OBB or COCO", (".txt",),
          (rf"\A(?:[a-z]+:[^\n]*\n)*(?:{_NUMBER}\s+){{8}}\S+(?:\s+\d+)?\s*$",)),
    Other("KITTI's text", _BY_DATUMARO, (".txt",), (rf"\A\S+(?:\s+{_NUMBER}){{14,15}}\s*$",)),
    Other("the text of OIDv4's toolkit", "take the boxes of Open Images' own CSV", (".txt",),
          (rf"\A[A-Za-z][^\n]*?(?:\s+{_NUMBER}){{4}}\s*$",)),
    Other("the text of MOT or VisDrone", "write COCO from it", (".txt",),
          (rf"\A{_NUMBER}(?:,{_NUMBER}){{5,9}},?\s*$",)),
    Other("WIDER Face's list", _BY_DATUMARO, (".txt",), (r"\A[^\n]*\.(?:jpe?g|png)\s*\n\d+\s*\n\d+ \d+ ",)),
)  # fmt: skip


def told(reading: Reading, files: Iterable[str] | None = None) -> str | None:
    """The file that is of a format which is not read, the format's name, and the way out; None where none is known.

    Args:
        reading: the source.
        files: those to look at; of the whole source, or the given one, if unset.
    """
    if files is None:
        files = reading.tree.files if reading.file is None else [reading.file]
    seen: dict[str, int] = {}
    for name in files:
        if is_record_file(name):
            return f"{shown(name)} has records without image/encoded, which are not read; {_RECORDS}"
        ending = name[name.rfind(".") :].lower()
        seen[ending] = seen.get(ending, 0) + 1
        candidates = [other for other in OTHERS if name.lower().endswith(other.endings)]
        if not candidates or seen[ending] > _LOOKED_AT:
            continue
        head = head_of(reading.tree.path(name), _TOLD_BY)
        for other in candidates:
            if other.fits(name, head):
                return f"{shown(name)} looks like {other.title}, a format that is not read; {other.way_out}"
    return None
