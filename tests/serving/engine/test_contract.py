"""What `Accept` means, without a server."""

from __future__ import annotations

import json

import numpy as np
import pytest

from boxwright.errors import UsageError
from boxwright.serving.engine.contract import (
    NotAcceptableError,
    Wanted,
    answer,
    check_content_type,
    one_line,
    parse_accept,
)
from boxwright.serving.engine.predictor import Detections


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", Wanted()),
        ("application/json", Wanted()),
        ("application/json;verbose", Wanted(verbose=True)),
        ("application/json; verbose ; n_predictions=5", Wanted(verbose=True, n_predictions=5)),
        ("APPLICATION/JSON;Verbose;N_Predictions=12;box_order=xyxy", Wanted("json", True, 12, "xyxy")),
        ('application/json;n_predictions="3";charset=utf-8', Wanted(n_predictions=3)),
        ("application/json;verbose=false", Wanted()),
        ("image/png", Wanted("picture")),
        ("image/*;n_predictions=1", Wanted("picture", n_predictions=1)),
        ("application/json;q=0.2, image/png;q=0.9", Wanted("picture")),
        ("text/html, */*;q=0.1", Wanted()),
    ],
)
def test_accept_is_read(header: str, wanted: Wanted) -> None:
    assert parse_accept(header) == wanted


@pytest.mark.parametrize("header", ["text/plain", "json", ";verbose", "application/json;q=0", "x" * 5000])
def test_what_cannot_be_given(header: str) -> None:
    with pytest.raises(NotAcceptableError, match="valid are application/json") as caught:
        parse_accept(header)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("parameter", ["n_predictions=1.5", "n_predictions=9999999", "box_order=", "top=3"])
def test_bad_parameters(parameter: str) -> None:
    with pytest.raises(UsageError, match=parameter.partition("=")[0]):
        parse_accept(f"application/json;{parameter}")


def test_content_types() -> None:
    assert check_content_type("image/jpeg") is None
    assert "'text/html'" in str(check_content_type("text/html; charset=x"))
    assert "not a media type" in str(check_content_type("<b>\n"))


def test_an_answer_in_both_orders_and_without_noise() -> None:
    raw = {"num_detections": np.int32(1)}
    # As the model has it: [ymin, xmin, ymax, xmax].
    seen = Detections(np.float32([[0.1, 0.2, 0.3, 0.4]]), np.float32([1 / 3]), np.array([2]), raw)
    told = answer(seen, ("a", "b", "c"), Wanted())
    assert told == {"normalized_boxes": [[0.2, 0.4, 0.1, 0.3]], "classes": [2], "scores": [0.333333]}
    assert answer(seen, (), Wanted(box_order="xyxy"))["normalized_boxes"] == [[0.2, 0.1, 0.4, 0.3]]
    assert answer(seen, ("a",), Wanted(verbose=True))["tensorflow_model_output"] == {"num_detections": [1]}


def test_nothing_seen_is_an_answer_too() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), {})
    assert answer(nothing, (), Wanted(n_predictions=3)) == {"normalized_boxes": [], "classes": [], "scores": []}


def test_one_line_whatever_a_label_holds() -> None:
    line = one_line({"labels": ["a\nb", "\u2028", "\ud800"]})
    assert line.count(b"\n") == 0
    assert json.loads(line)["labels"][0] == "a\nb"
