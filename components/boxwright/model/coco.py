"""COCO's classes (cocodataset.org): 80 names on ids from 1 to 90."""

from __future__ import annotations

_NAMES = {
    1: "person bicycle car motorcycle airplane bus train truck boat",
    10: "traffic_light fire_hydrant",
    13: "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe",
    27: "backpack umbrella",
    31: "handbag tie suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard "
    "tennis_racket bottle",
    46: "wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake "
    "chair couch potted_plant bed",
    67: "dining_table",
    70: "toilet",
    72: "tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator",
    84: "book clock vase scissors teddy_bear hair_drier toothbrush",
}

CATEGORIES: dict[int, str] = {
    first + step: name.replace("_", " ") for first, names in _NAMES.items() for step, name in enumerate(names.split())
}
"""Name by category id."""


def slots(last_id: int = 90) -> tuple[str, ...]:
    """Names of a head with a slot an id, by 0-based slot; empty where no category has the id."""
    return tuple(CATEGORIES.get(category, "") for category in range(1, last_id + 1))
