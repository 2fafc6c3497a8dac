"""Gives every Python process that finds this folder on its path the tests' model families; loads none by itself.

The catalogue's lists stay as they are: pages and reference show what users have. What is asked for by name is found.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# Module, class, and what the catalogue's row says, by model id; a family is called as its one model.
OWN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cracked": (
        "speck_family",
        "Cracked",
        {"image_size": 64, "size_step": 8, "defaults": {"batch_size": 8, "epochs": 2, "validation_ap_epochs": 1}},
    ),
    "finder": ("finder_family", "Finder", {"image_size": 400, "size_step": 8}),
    "speck": (
        "speck_family",
        "Speck",
        {"image_size": 64, "size_step": 8, "defaults": {"batch_size": 8, "epochs": 2, "validation_ap_epochs": 0}},
    ),
}


def _into_catalogue(catalogue: Any) -> None:
    known, fitting = catalogue.model_spec, catalogue.compatible_ids
    specs = {name: catalogue.ModelSpec(name, name, architecture={}, **row) for name, (_, _, row) in OWN.items()}
    catalogue.model_spec = lambda model_id: specs[model_id] if model_id in specs else known(model_id)
    catalogue.compatible_ids = lambda model_id: [model_id] if model_id in specs else fitting(model_id)


def _into_families(families: Any) -> None:
    known = families.create_detector

    def create_detector(spec: Any, num_classes: int, image_size: int) -> Any:
        if spec.family not in OWN:
            return known(spec, num_classes, image_size)
        module, name, _ = OWN[spec.family]
        spec.check_size(image_size)
        return getattr(import_module(module), name)(spec, num_classes, image_size)

    families.create_detector = create_detector


_CHANGES = {"boxwright.model.catalogue": _into_catalogue, "boxwright.model.families": _into_families}


class _Changing(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in _CHANGES else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            _CHANGES[name](module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Changing())
