"""What is said of a plan before it is trained."""

from __future__ import annotations

from boxwright.training.planning import few_passes


def test_too_few_image_passes_are_named_with_the_epochs_that_are_enough() -> None:
    assert few_passes(50, 20) == (
        "epochs=20 shows 50 images 1,000 times in all; heads that begin anew learn until some 4,000, so expect more of "
        "epochs=80"
    )
    assert few_passes(205, 20) is None and few_passes(2_000, 1) is None
    assert "epochs=4000" in (few_passes(1, 5) or "")
