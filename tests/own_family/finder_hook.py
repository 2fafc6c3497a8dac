"""Gives every Python process that finds this folder on its path the tests' model family; loads nothing by itself.

The catalogue's lists stay as they are: pages and reference show what users have. What is asked for by name is found.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

MODEL_ID = "finder"


def _into_catalogue(catalogue: Any) -> None:
    known, spec = catalogue.model_spec, catalogue.ModelSpec(MODEL_ID, MODEL_ID, 400, {}, size_step=8)
    catalogue.model_spec = lambda model_id: spec if model_id == MODEL_ID else known(model_id)


def _into_families(families: Any) -> None:
    known = families.create_detector

    def create_detector(spec: Any, num_classes: int, image_size: int) -> Any:
        if spec.family != MODEL_ID:
            return known(spec, num_classes, image_size)
        from finder_family import Finder

        spec.check_size(image_size)
        return Finder(spec, num_classes, image_size)

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
