"""Sets whose boxes are shares of the image in a format that has pixels."""

from __future__ import annotations

from boxwright.dataset.importing.source import Account, SourceSet


def take_shares(found: SourceSet, account: Account) -> None:
    """Takes boxes as shares of width and height where all of the set lie between 0 and 1, which no pixels do.

    Args:
        found: changed in place.
        account: receives the images that this holds for.
    """
    boxed = [image for image in found.images if image.objects]
    if not boxed or any(image.normalised for image in boxed):
        return
    if all(0 <= side <= 1 for image in boxed for box in image.objects for side in box.bbox):
        for image in boxed:
            image.normalised = True
            account.changed("all boxes of the set lie between 0 and 1: taken as shares of the image", image.where)
