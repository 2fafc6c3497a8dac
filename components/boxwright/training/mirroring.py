"""Whether the mirror image of an object is of the same class, as far as the names of the classes tell.

Most things have no handedness. Letters, digits and what says left or right do: mirrored, they are another class or
none, and training on them teaches that both are one.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence

from boxwright.config import Hyperparameters

log = logging.getLogger("boxwright.training")
SHOWN = 5
_SIDES = frozenset(
    "left right leftward rightward clockwise counterclockwise anticlockwise links rechts gauche droite izquierda "
    "derecha sinistra destra esquerda direita lewo prawo".split()
)
_CHARACTERS = frozenset(
    "digit digits letter letters character characters glyph glyphs numeral numerals text alphabet ocr".split()
)
# Words before a number that only count classes; such names say nothing of what the objects look like.
_COUNTERS = frozenset("class category cat label type kind object obj item id cls group species cluster".split())
_WORD = re.compile(r"[^\W\d_]+|\d+")
_SPACED = re.compile(r"(?<=[a-z])(?=[A-Z])")


def mirrors(hyperparameters: Hyperparameters, classes: Sequence[str]) -> bool:
    """Whether training mirrors images; says in the log what was chosen where the choice is `Auto`, and why."""
    switch, augmentation = hyperparameters.horizontal_flip, hyperparameters.augmentation
    if augmentation == "none" or switch == "False":
        return False
    against = reasons_against_mirroring(classes)
    if switch == "Auto" and augmentation == "standard":
        chosen = "horizontal_flip=True makes it so" if against else "horizontal_flip=False leaves them as they are"
        why = "; ".join(against) if against else "no class name speaks against it"
        log.info("images are %smirrored in training: %s; %s", "not " if against else "", why, chosen)
        return not against
    if against:
        log.warning(
            "images are mirrored in training, though %s: mirrored, they may be another class; "
            "horizontal_flip=False leaves them as they are",
            "; ".join(against),
        )
    return True


def reasons_against_mirroring(classes: Sequence[str]) -> list[str]:
    """Why some classes are not what their mirror images are; nothing where no name speaks against it.

    Names speak against it that say a side ("turn left"), that are or speak of characters ("7", "B", "digit"), and those
    that differ from others by a number alone ("speed limit 30", "speed limit 50"), unless that only counts classes
    ("class_1", "class_2").

    Args:
        classes: names.
    """
    words = {name: tuple(_WORD.findall(_SPACED.sub(" ", name))) for name in classes}
    lower = {name: tuple(word.lower() for word in found) for name, found in words.items()}
    stems = Counter(_stem(found) for found in lower.values() if _stem(found) != found)
    numbered = [
        name
        for name, found in lower.items()
        if _stem(found) != found and stems[_stem(found)] > 1 and not set(found) & _COUNTERS
    ]
    characters = [name for name, found in words.items() if _is_character(found) or set(lower[name]) & _CHARACTERS]
    # A single letter among other names is more likely an abbreviation.
    single = [name for name in characters if _is_character(words[name])]
    if len(single) == 1:
        characters.remove(single[0])
    found = {
        "say a side": [name for name, parts in lower.items() if set(parts) & _SIDES],
        "are or speak of characters": characters,
        "differ by a number": [name for name in numbered if name not in characters],
    }
    return [f"{_some(names)} {reason}" for reason, names in found.items() if names]


def _stem(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("#" if word.isdigit() else word for word in words)


def _is_character(words: tuple[str, ...]) -> bool:
    return len(words) == 1 and (len(words[0]) == 1 or words[0].isdigit())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more
