"""The part of an export's README about tiles: the lines that detect in each and merge what several show."""

from __future__ import annotations

from textwrap import indent

from boxwright.images import CUT_WEIGHT, EDGE, MERGED_OVERLAP, Tiling

_TILED = """\
def find(image):
{look}
    return [(np.clip(box * {size} / [height, width, height, width], 0, 1), score, label) for box, score, label in kept]

def starts(length):
    last = max(0, -(-(length - {tile}) // {stride}))
    return [number * (length - {tile}) // max(1, last) for number in range(last + 1)]

def covered(box, other, cut):
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    common, area, its = np.prod(np.maximum(high - low, 0)), np.prod(box[2:] - box[:2]), np.prod(other[2:] - other[:2])
    return common / (min(area, area + its - common) if cut else area + its - common)

pixels = np.array([image.height, image.width])
places = [(0, 0, *pixels)]
if max(pixels) > {tile}:
    places += [(y, x, min(y + {tile}, pixels[0]), min(x + {tile}, pixels[1])) for y in starts(pixels[0]) \
for x in starts(pixels[1])]
seen = []
for number, (ymin, xmin, ymax, xmax) in enumerate(places):
    low, high = np.array([ymin, xmin]), np.array([ymax, xmax])
    for box, score, label in find(image.crop((xmin, ymin, xmax, ymax))):
        box, near = np.tile(low, 2) + box * np.tile(high - low, 2), (high - low) * {edge}
        cut = bool(np.any((low > 0) & (box[:2] - low < near) | (high < pixels) & (high - box[2:] < near)))
        seen.append((score * ({cut_weight} if cut else 1), score, label, box, cut, number))
kept = []
for one in sorted(seen, key=lambda one: -one[0]):
    others = [other for other in kept if other[5] != one[5]{same_name}]
    if all(covered(one[3], other[3], one[4]) <= {merged} for other in others):
        kept.append(one)"""
_SHOW = """\
labels = json.load(open("label_map.json", encoding="utf-8"))["labels"]
for _, score, label, (ymin, xmin, ymax, xmax), _, _ in sorted(kept, key=lambda one: -one[1]):
    if score >= {threshold}:
        print(f"{{score:.3f}} {{labels[label]}}: x {{xmin:.1f}} to {{xmax:.1f}}, y {{ymin:.1f}} to {{ymax:.1f}}")"""


def tiled_steps(look: str, tiling: Tiling, size: int, threshold: float, within_class: bool) -> list[str]:
    """The lines of the program from the image on.

    Args:
        look: the lines that leave `width`, `height` and `kept` of an `image`.
        tiling: of the model.
        size: of the network's input.
        threshold: least score that is shown.
        within_class: whether boxes of different classes leave each other alone.
    """
    values = {
        "look": indent(look, "    "),
        "size": size,
        "tile": tiling.size,
        "stride": tiling.stride,
        "edge": EDGE,
        "cut_weight": CUT_WEIGHT,
        "merged": MERGED_OVERLAP,
        "same_name": " and other[2] == one[2]" if within_class else "",
    }
    return [_TILED.format(**values), _SHOW.format(threshold=threshold)]


def tiles_text(tiling: Tiling | None) -> str:
    """The README's lines about tiles; empty where there are none."""
    if tiling is None:
        return ""
    return (
        f"\n- Tiles: the network looks at the whole image and, where a side has more than {tiling.size} pixels, at "
        f"tiles of it of {tiling.size} x {tiling.size} pixels with an overlap of at least {tiling.overlap:.0%}, each "
        "as if it were an image; what several show is counted once."
    )
