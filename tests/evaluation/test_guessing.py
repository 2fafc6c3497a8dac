"""Models whose names are known, drawn by chance, or a mix: which of their classes the test calls guessed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.stats import fisher_exact

from boxwright.config import Gate
from boxwright.evaluation.gate import check_gate
from boxwright.evaluation.gate_records import GateReport
from boxwright.evaluation.guessing import judge_classes
from boxwright.evaluation.records import EvaluationSummary, ToldApart, worst_confusions

NAMES = [f"class {number}" for number in range(8)]


def judged(counts: Any) -> dict[str, ToldApart]:
    return judge_classes(NAMES, np.array(counts, np.int64))


def verdicts(counts: Any) -> list[str]:
    return [one.verdict for one in judged(counts).values()]


def drawn(boxes: list[int], known: list[float], seed: int) -> Any:
    """Counts of a model that knows a class's boxes by a share, and draws lots for the rest."""
    random, counts = np.random.default_rng(seed), np.zeros((len(boxes), len(boxes)), np.int64)
    for row, (total, share) in enumerate(zip(boxes, known, strict=True)):
        for _ in range(total):
            counts[row, row if random.random() < share else random.integers(len(boxes))] += 1
    return counts


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([[20, 20], [20, 20]], ["guessed", "guessed"]),
        ([[30, 10], [31, 9]], ["guessed", "guessed"]),  # by chance, and one name more often
        ([[200, 0], [30, 0]], ["guessed", "guessed"]),  # nobody is ever called the second
        ([[0, 40], [40, 0]], ["guessed", "guessed"]),  # worse than by chance; the gate knows these as swapped
        ([[40, 0], [1, 39]], ["told apart", "told apart"]),
        ([[2, 2], [2, 2]], ["too few boxes", "too few boxes"]),
        ([[3, 0], [0, 3]], ["too few boxes", "too few boxes"]),
        ([[200, 0], [0, 3]], ["told apart", "told apart"]),
        ([[200, 1], [3, 1]], ["too few boxes", "too few boxes"]),
        ([[0, 1], [1, 0]], ["too few boxes", "too few boxes"]),
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], ["too few boxes"] * 3),
    ],
)
def test_two_classes(counts: list[list[int]], expected: list[str]) -> None:
    assert verdicts(counts) == expected


def test_two_that_are_told_from_the_rest_and_not_from_each_other() -> None:
    """Half of their boxes are named rightly, twice of what frequencies would give: against all it looks like skill."""
    found = judged([[40, 0, 0, 0], [0, 40, 0, 0], [1, 0, 19, 20], [0, 1, 21, 18]])
    assert [one.verdict for one in found.values()] == ["told apart", "told apart", "guessed", "guessed"]
    assert "19 class 2" in found["class 2"].evidence()
    assert found["class 2"].rivals == ["class 3"] and found["class 2"].by_lot == pytest.approx(40 / 78)
    assert "against class 3, 49%" in found["class 2"].evidence()


def test_three_that_are_drawn_among_themselves() -> None:
    counts = np.zeros((8, 8), np.int64)
    counts[:5, :5] = np.eye(5) * 40
    counts[5:, 5:] = [[13, 13, 14], [14, 13, 13], [13, 14, 13]]
    assert verdicts(counts) == ["told apart"] * 5 + ["guessed"] * 3


@pytest.mark.parametrize("counts", [[[0, 0], [0, 0]], [[9, 0], [0, 0]], [[7]]])
def test_one_class_has_nothing_to_be_told_from(counts: list[list[int]]) -> None:
    assert judged(counts) == {}


def test_a_class_without_boxes_is_not_asked_and_its_name_counts() -> None:
    found = judged([[20, 20], [0, 0]])
    assert {name: one.verdict for name, one in found.items()} == {"class 0": "guessed"}
    assert found["class 0"].names == {"class 0": 20, "class 1": 20}
    assert "(p = 0.56)" in found["class 0"].evidence()


@pytest.mark.parametrize("seed", range(5))
def test_a_coin_is_caught_and_what_knows_two_in_three_never_is(seed: int) -> None:
    assert "guessed" in verdicts(drawn([40, 40], [0, 0], seed))
    assert "guessed" in verdicts(drawn([30] * 6, [0] * 6, seed))
    assert "guessed" in verdicts(drawn([60] * 6, [0.9] * 5 + [0], seed))
    for boxes in (4, 10, 40, 400):
        assert "guessed" not in verdicts(drawn([boxes] * 8, [0.67] * 8, seed))


def test_the_probability_is_fishers() -> None:
    table = [[16, 4], [9, 11]]
    found = judged(table)["class 0"]
    assert found.p_value == pytest.approx(fisher_exact(table, alternative="greater").pvalue)
    assert found.known == pytest.approx(16 / 20 - 9 / 20)
    assert found.low is not None and found.high is not None and found.low < 0.35 < found.high


def test_many_classes_make_each_harder_to_convict() -> None:
    pair = judged([[16, 4], [12, 8]])["class 0"]
    counts = np.diag([30] * 8)
    counts[:2, :2] = [[16, 4], [12, 8]]
    among_many = judged(counts)["class 0"]
    assert among_many.high is not None and pair.high is not None and among_many.high > pair.high


# --- the gate ---


def gated(counts: Any, gate: Gate | None = None, **more: Any) -> GateReport:
    metrics = {"AP": 0.9, "AP50": 0.9, "detections": 50}
    return check_gate(
        EvaluationSummary(split="test", metrics=metrics, told_apart=judged(counts), **more), gate or Gate()
    )


def check_of(report: GateReport) -> Any:
    return next(check for check in report.checks if check.name == "classes told apart")


def test_a_coin_fails_whatever_the_bounds() -> None:
    report = gated([[30, 0, 0], [0, 15, 16], [0, 14, 16]], Gate(min_ap50=0, min_ap=0))
    check = check_of(report)
    assert (check.verdict, check.value, check.bound, report.passed) == ("classes guessed", 1, 3, False)
    assert "class 1 is no better than guessing" in check.note and "class 2 is no better" in check.note
    assert "(p = 0." in check.note and "gate_classes_told_apart=False" in check.note
    assert GateReport.parse(json.dumps(report.to_dict()).encode(), "gate.json") == report
    assert report.told_apart["class 1"].verdict == "guessed"


def test_who_insists_lets_it_pass_and_is_told() -> None:
    report = gated([[15, 16], [14, 16]], Gate(classes_told_apart=False))
    assert report.passed and check_of(report).verdict == "not required"
    assert "class 0 is no better than guessing" in check_of(report).note
    assert check_of(gated([[40, 0], [0, 40]], Gate(classes_told_apart=False))).verdict == "passed"


def test_few_boxes_do_not_fail_and_are_named() -> None:
    assert check_of(gated([[2, 2], [2, 2]])).verdict == "too few boxes"
    check = check_of(gated([[60, 0, 0], [0, 60, 0], [0, 1, 1]]))
    assert check.passed and check.verdict == "passed" and "too few boxes" in check.note and "class 2" in check.note


def test_names_that_changed_places_are_told_once() -> None:
    report = gated([[0, 40], [40, 0]], swapped={"class 0": "class 1", "class 1": "class 0"})
    assert [check.verdict for check in report.checks if not check.passed] == ["classes swapped"]


def test_of_many_guessed_classes_the_note_shows_some() -> None:
    note = check_of(gated(np.full((8, 8), 8))).note
    assert note.count("no better than guessing") == 5 and "and so are class 5, class 6, class 7" in note


def test_confusions_for_people_are_those_of_guessed_classes_and_of_a_tenth() -> None:
    told = judged([[60, 4, 0, 0], [0, 60, 0, 0], [0, 10, 50, 0], [0, 0, 0, 60]])
    assert [str(one) for one in worst_confusions(told)] == ["class 2 called class 1 17% (10)"]
    told = judged([[20, 21, 2], [22, 20, 0], [0, 0, 50]])
    assert [(one.true, one.called, one.count) for one in worst_confusions(told)] == [
        ("class 1", "class 0", 22), ("class 0", "class 1", 21), ("class 0", "class 2", 2)
    ]  # fmt: skip
