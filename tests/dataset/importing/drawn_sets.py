"""Sets drawn at random, and writers of each format with the habits of its tools."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape, quoteattr

import yaml
from foreign import HEIGHT, WIDTH, picture, write
from tool_exports import example

from boxwright.dataset.examples.tfrecord import write_record

Box = tuple[str, tuple[float, float, float, float]]
Content = dict[str, list[Box]]
LABELS = (
    "bolt",
    "nuts & bolts",
    "<5mm",
    "driver's seat",
    "no",
    "007",
    "\u87ba\u6813",
    "a: b",
    "\u00e9crou",
    "#x",
    "null",
)
NAMES = ("p0.jpg", "b c.png", "\u00fc&.jpg", "x.y.png", "IMG_1.JPG", "sub/e.jpg", "a (2).jpeg", "\u7167\u7247.png")


def draw(rng: random.Random) -> Content:
    """Images with up to three boxes of whole pixels; two of them have some, as validation asks for."""
    content: Content = {}
    for name in rng.sample(NAMES, rng.randint(2, 6)):
        content[name] = []
        for _ in range(rng.randint(0 if len(content) > 2 else 1, 3)):
            left, top = rng.randint(0, WIDTH - 20), rng.randint(0, HEIGHT - 20)
            right, bottom = rng.randint(left + 4, WIDTH), rng.randint(top + 4, HEIGHT)
            content[name].append((rng.choice(LABELS), (left, top, right, bottom)))
    return content


def text(path: Path, content: str, rng: random.Random, encodings: Iterable[str] = ("utf-8",)) -> None:
    """Writes a text in one of some encodings, with one of the ends of lines."""
    ended = content.replace("\n", rng.choice(("\n", "\r\n")))
    write(path, ended.encode(rng.choice(tuple(encodings))))


def classes(content: Content) -> list[str]:
    return sorted({label for boxes in content.values() for label, _ in boxes})


def pictures(folder: Path, content: Content) -> None:
    for number, name in enumerate(content):
        picture(folder / name, number)


def outline(box: tuple[float, ...]) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


JSON = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le")


def coco(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder / rng.choice(("images", "train", "JPEGImages")), content)
    as_text = rng.random() < 0.3
    ids = {name: str(number * 7) if as_text else number * 7 for number, name in enumerate(content)}
    keys = {label: 3 * number for number, label in enumerate(classes(content))}
    prefix = rng.choice(("", "images\\", "./", "/data/upload/", "https://host.example/a/"))
    annotations = []
    for name, boxes in content.items():
        for label, box in boxes:
            left, top, right, bottom = box
            sides = {"bbox": [left, top, right - left, bottom - top], "area": 0, "iscrowd": 0}
            shape = sides if rng.random() < 0.7 else {"segmentation": [outline(box)]}
            annotations.append({"id": len(annotations), "image_id": ids[name], "category_id": keys[label]} | shape)
    document = {
        "info": {"year": "2024"},
        "images": [{"id": key, "file_name": prefix + name, "width": WIDTH, "height": HEIGHT}
                   for name, key in ids.items()],
        "annotations": annotations,
        "categories": [{"id": key, "name": label, "supercategory": "none"} for label, key in keys.items()],
    }  # fmt: skip
    rng.shuffle(annotations)
    text(folder / rng.choice(("a.json", "annotations/x.json")), json.dumps(document, ensure_ascii=False), rng, JSON)
    return content


def voc(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder / "JPEGImages", content)
    encoding = rng.choice(("utf-8", "utf-16"))
    for name, boxes in content.items():
        objects = []
        for label, (left, top, right, bottom) in boxes:
            sides = [("xmin", left + 1), ("ymin", top + 1), ("xmax", right), ("ymax", bottom)]
            rng.shuffle(sides)
            written = "".join(
                f"<{side}>{float(value) if rng.random() < 0.3 else value}</{side}>" for side, value in sides
            )
            called = f"<![CDATA[{label}]]>" if rng.random() < 0.3 else escape(label)
            objects.append(f"<object><name>{called}</name><!-- x --><bndbox>{written}</bndbox></object>")
        size = rng.choice((f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>", "", "<size/>"))
        path = PurePosixPath(name)
        called = rng.choice((path.name, path.stem, f"C:\\x\\{path.name}"))
        body = f"<annotation><filename>{escape(called)}</filename>{size}{''.join(objects)}</annotation>"
        head = f'<?xml version="1.0" encoding="{encoding}"?>\n'
        text(folder / "Annotations" / path.with_suffix(".xml"), head + body, rng, (encoding,))
    return content


def yolo(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder / "images", content)
    names = classes(content)
    for name, boxes in content.items():
        lines = []
        for label, box in boxes:
            left, top, right, bottom = box
            if rng.random() < 0.3:
                values = [side / (HEIGHT if at % 2 else WIDTH) for at, side in enumerate(outline(box))]
            else:
                values = [(left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT,
                          (right - left) / WIDTH, (bottom - top) / HEIGHT]  # fmt: skip
            lines.append(" ".join([str(names.index(label)), *(f"{value:.9f}" for value in values)]))
        if lines or rng.random() < 0.5:
            text(
                folder / "labels" / PurePosixPath(name).with_suffix(".txt"),
                "\n".join(lines),
                rng,
                ("utf-8", "utf-8-sig"),
            )
    given = rng.choice((names, dict(enumerate(names))))
    dumped = yaml.safe_dump({"nc": len(names), "names": given}, allow_unicode=rng.random() < 0.5, sort_keys=False)
    text(folder / rng.choice(("data.yaml", "x.yml")), dumped, rng, ("utf-8", "utf-8-sig"))
    return content


def ground_truth(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder, content)
    names = classes(content)
    lines = []
    for name, boxes in content.items():
        annotations = [{"class_id": names.index(label), "left": box[0], "top": box[1], "width": box[2] - box[0],
                        "height": box[3] - box[1]} for label, box in boxes]  # fmt: skip
        own = {str(names.index(label)): label for label, _ in boxes}
        labels = {"image_size": [{"width": WIDTH, "height": HEIGHT, "depth": 3}], "annotations": annotations}
        metadata = {"class-map": own, "creation-date": "2024-01-01", "objects": [{"confidence": 0.5} for _ in boxes]}
        lines.append(json.dumps({"source-ref": f"s3://bucket/{name}", "job": labels, "job-metadata": metadata}))
    text(folder / "output.manifest", "\n".join(lines) + rng.choice(("", "\n", "\n\n")), rng, ("utf-8", "utf-8-sig"))
    return content


def table(folder: Path, content: Content, rng: random.Random) -> Content:
    import csv
    import io

    pictures(folder / "images", content)
    columns = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
    rng.shuffle(columns)
    buffer = io.StringIO()
    out = csv.DictWriter(buffer, columns, delimiter=rng.choice(",;\t"), lineterminator="\n")
    out.writeheader()
    for name, boxes in content.items():
        size = {"filename": name, "width": WIDTH, "height": HEIGHT}
        for label, box in boxes:
            out.writerow(size | {"class": label} | dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)))
        if not boxes:
            out.writerow(size)
    text(folder / "labels.csv", buffer.getvalue(), rng, ("utf-8", "utf-8-sig", "utf-16"))
    return content


def records(folder: Path, content: Content, rng: random.Random) -> Content:
    flat = {PurePosixPath(name).name: boxes for name, boxes in content.items()}
    names = classes(content)
    folder.mkdir(parents=True)
    with (folder / rng.choice(("all.record", "all.tfrecord", "train-00000-of-00001"))).open("wb") as file:
        for number, (name, boxes) in enumerate(flat.items()):
            data = picture(folder.parent / "one" / name, number).read_bytes()
            sides = {}
            for at, side in enumerate(("xmin", "ymin", "xmax", "ymax")):
                shares = [box[at] / (HEIGHT if at % 2 else WIDTH) for _, box in boxes]
                sides[f"image/object/bbox/{side}"] = ("float_list", shares)
            keys = {"image/object/class/label": ("int64_list", [names.index(label) + 1 for label, _ in boxes])}
            called = {"image/encoded": ("bytes_list", [data]), "image/filename": ("bytes_list", [name])}
            write_record(file, example(**called, **sides, **keys))
    items = "".join(f"item {{\n  id: {number}\n  name: {json.dumps(label, ensure_ascii=False)}\n}}\n"
                    for number, label in enumerate(names, 1))  # fmt: skip
    text(folder / "map.pbtxt", items, rng)
    return flat


def cvat(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder / "images", content)
    images = []
    for number, (name, boxes) in enumerate(content.items()):
        shapes = []
        for label, box in boxes:
            left, top, right, bottom = box
            if rng.random() < 0.3:
                points = ";".join(f"{x},{y}" for x, y in zip(outline(box)[::2], outline(box)[1::2], strict=True))
                shapes.append(f"<polygon label={quoteattr(label)} points={quoteattr(points)}/>")
            else:
                sides = f'xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"'
                shapes.append(f"<box label={quoteattr(label)} {sides}><attribute name='x'>1</attribute></box>")
        body = "".join(shapes)
        images.append(f'<image id="{number}" name={quoteattr(name)} width="{WIDTH}" height="{HEIGHT}">{body}</image>')
    text(folder / "annotations.xml", f"<annotations><version>1.1</version>{''.join(images)}</annotations>", rng)
    return content


def label_studio(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder, content)
    tasks = []
    for number, (name, boxes) in enumerate(content.items()):
        results = []
        for label, (left, top, right, bottom) in boxes:
            value = {"x": left / WIDTH * 100, "y": top / HEIGHT * 100, "width": (right - left) / WIDTH * 100,
                     "height": (bottom - top) / HEIGHT * 100, "rectanglelabels": [label]}  # fmt: skip
            size = {"original_width": WIDTH, "original_height": HEIGHT}
            results.append({"id": str(len(results)), "type": "rectanglelabels", "value": value} | size)
        image = rng.choice(("/data/local-files/?d=", "s3://bucket/", "/data/upload/3/")) + name
        done = [{"id": 1, "was_cancelled": False, "result": results}]
        tasks.append({"id": number, "data": {"image": image}, "annotations": done})
    text(folder / "export.json", json.dumps(tasks, ensure_ascii=False), rng, JSON)
    return content


def labelme(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder, content)
    for name, boxes in content.items():
        shapes = []
        for label, box in boxes:
            corners = [[box[0], box[1]], [box[2], box[3]]]
            rng.shuffle(corners)
            points = [list(point) for point in zip(outline(box)[::2], outline(box)[1::2], strict=True)]
            shape = {"shape_type": "rectangle", "points": corners} if rng.random() < 0.7 else {"points": points}
            shapes.append({"label": label} | shape)
        path = PurePosixPath(name)
        document = {"version": "5", "shapes": shapes, "imagePath": rng.choice((path.name, f"..\\x\\{path.name}"))}
        size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
        text(folder / path.with_suffix(".json"), json.dumps(document | size, ensure_ascii=False), rng, JSON)
    return content


def create_ml(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder, content)
    found = []
    for name, boxes in content.items():
        annotations = []
        for label, (left, top, right, bottom) in boxes:
            sides = {"x": (left + right) / 2, "y": (top + bottom) / 2, "width": right - left, "height": bottom - top}
            annotations.append({"label": label, "coordinates": sides})
        found.append({rng.choice(("image", "imagefilename")): name, "annotations": annotations})
    text(folder / "a.json", json.dumps(found, ensure_ascii=False), rng, JSON)
    return content


def open_images(folder: Path, content: Content, rng: random.Random) -> Content:
    pictures(folder / "images", content)
    rows = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"]
    names = classes(content)
    for name, boxes in content.items():
        for label, (left, top, right, bottom) in boxes:
            shares = f"{left / WIDTH},{right / WIDTH},{top / HEIGHT},{bottom / HEIGHT}"
            rows.append(f"{PurePosixPath(name).stem},x,/m/{names.index(label)},1,{shares},0")
    text(folder / "train-annotations-bbox.csv", "\n".join(rows), rng)
    quoted = "".join(f'/m/{number},"{label}"\n' for number, label in enumerate(names))
    text(folder / "class-descriptions-boxable.csv", quoted, rng)
    return {name: boxes for name, boxes in content.items() if boxes}  # it has no word for a negative


WRITERS: dict[str, Callable[[Path, Content, random.Random], Content]] = {
    "coco": coco,
    "voc": voc,
    "yolo": yolo,
    "ground-truth": ground_truth,
    "csv": table,
    "tfrecord": records,
    "cvat": cvat,
    "label-studio": label_studio,
    "labelme": labelme,
    "createml": create_ml,
    "open-images": open_images,
}
