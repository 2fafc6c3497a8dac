"""Of several trainings the best by validation is handed on, and a run that was cut off does not begin again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prepared import prepare

from boxwright.config import RunConfig
from boxwright.errors import StoppedError
from boxwright.training.fine_tuning import Watch
from boxwright.training.history import SeedResult, TrainingFacts
from boxwright.training.several_seeds import fine_tune_seeds, told_of

EPOCHS = 2


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Path]:
    folder = tmp_path_factory.mktemp("prepared")
    settings = {"epochs": EPOCHS, "image_size": 64, "batch_size": 4, "seed": 5, "seeds": 3, "validation_ap_epochs": 2}
    return prepare(folder, 8, **settings), folder


class Looks:
    """Measures an AP that stands for each seed, and may ask to stop."""

    def __init__(self, values: list[float], stop_after: int = 99) -> None:
        self.values, self.stop_after = values, stop_after
        self.records: list[dict[str, float]] = []

    def watch(self) -> Watch:
        return Watch(self.measure, self.records.append, should_stop=lambda: len(self.records) >= self.stop_after)

    def measure(self, detector: Any) -> dict[str, float]:
        return {"AP": self.values[len(self.records) // EPOCHS], "AP50": 0.5}


def train(prepared: tuple[RunConfig, Path], root: Path, looks: Looks) -> Any:
    config, folder = prepared
    (root / "out").mkdir(exist_ok=True)
    return fine_tune_seeds(config, folder / "examples", folder / "seed", root / "out", root / "state", looks.watch())


def test_the_best_is_handed_on_and_the_spread_is_told(
    prepared: tuple[RunConfig, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looks = Looks([0.2, 0.5, 0.35])
    with caplog.at_level("INFO", "boxwright.training"):
        summary = train(prepared, tmp_path, looks)
    facts = TrainingFacts.read(tmp_path / "out")
    assert facts.hyperparameters.seed == 6 and summary.epochs == EPOCHS
    assert [(one.seed, one.AP) for one in facts.seeds] == [(5, 0.2), (6, 0.5), (7, 0.35)]
    assert json.loads((tmp_path / "out" / "history.json").read_text())[-1]["AP"] == 0.5
    assert [record["epoch"] for record in looks.records] == list(range(3 * EPOCHS))
    told = (
        "validation AP of 3 seeds: 0.2000 with seed 5, 0.5000 with seed 6, 0.3500 with seed 7; mean 0.3500, standard "
        "deviation 0.1500; kept: seed 6"
    )
    assert told in caplog.messages and told_of(tmp_path / "out") == {"Seeds": told}
    assert (tmp_path / "out" / "model.weights.h5").exists() and not (tmp_path / "state").exists()


def test_what_is_done_is_not_done_again(prepared: tuple[RunConfig, Path], tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(prepared, tmp_path, Looks([0.4, 0.2, 0.3], stop_after=EPOCHS + 1))
    looks = Looks([0.2, 0.3])
    train(prepared, tmp_path, looks)
    # The first is done, of the second one epoch.
    assert len(looks.records) == 2 * EPOCHS - 1
    assert TrainingFacts.read(tmp_path / "out").hyperparameters.seed == 5


def test_without_ap_the_loss_decides(tmp_path: Path) -> None:
    results = (SeedResult(seed=0, AP=None, val_loss=2.0), SeedResult(seed=1, AP=0.3, val_loss=1.0))
    from boxwright.config import Hyperparameters

    TrainingFacts(hyperparameters=Hyperparameters(seed=1), final_epoch=0, seeds=results).write(tmp_path)
    assert told_of(tmp_path)["Seeds"].startswith("validation loss of 2 seeds: 2.0000 with seed 0, 1.0000 with seed 1;")


def test_where_ap_is_not_to_be_measured_the_loss_chooses(prepared: tuple[RunConfig, Path], tmp_path: Path) -> None:
    config, folder = prepared
    settings = config.hyperparameters.model_copy(update={"validation_ap_epochs": 0, "seeds": 2})
    train((config.model_copy(update={"hyperparameters": settings}), folder), tmp_path, Looks([0.2, 0.5]))
    facts = TrainingFacts.read(tmp_path / "out")
    assert [one.AP for one in facts.seeds] == [None, None]
    assert facts.hyperparameters.seed == min(facts.seeds, key=lambda one: one.val_loss).seed
