"""A study in Optuna's storage: trials asked for and told of, each once, whoever asks and however often."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as State

from boxwright.config import RunConfig, Settings, TuningConfig, Value
from boxwright.errors import UsageError, shorten, without_secrets
from boxwright.tuning.database import open_storage
from boxwright.tuning.importance import importance_of
from boxwright.tuning.pruning import make_pruner
from boxwright.tuning.records import Trial, TrialState
from boxwright.tuning.sampling import make_sampler
from boxwright.tuning.space import Space, space_of

# Failures of one kind that end a study: its cause will not go away.
SAME_FAILURES = 3
OUT_OF_MEMORY = "out of memory"
_SETTINGS, _EPOCHS, _SECONDS, _REASON, _KIND = "settings", "epochs", "seconds", "reason", "kind"
_SLOT, _CONTRACT, _STOP, _MEMORY, _START = "slot", "contract", "stop", "memory", "start"
_STATES = {
    State.RUNNING: TrialState.RUNNING,
    State.WAITING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAIL: TrialState.FAILED,
}
optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=ExperimentalWarning, module=r"optuna\.")


class Study:
    """The trials of one study.

    Args:
        name: of the study.
        config: the run that is tuned.
        tuning: how.
        storage: address of Optuna's database; the one of `Settings` if unset.

    Raises:
        UsageError: a study of this name has other settings, or one to start from is not there.
    """

    # What may change between two calls: how much is tried, and how many at a time.
    FREE: ClassVar[set[str]] = {"trials", "parallel", "max_hours", "max_image_passes", "proof_seeds"}

    def __init__(self, name: str, config: RunConfig, tuning: TuningConfig, storage: str | None = None) -> None:
        self.name, self.tuning = name, tuning
        self.space: Space = space_of(config, tuning)
        self._optuna = optuna.create_study(
            storage=open_storage(storage or Settings.from_environment().tuning_uri),
            study_name=name,
            direction="minimize" if tuning.is_loss else "maximize",
            load_if_exists=True,
            sampler=make_sampler(tuning),
            pruner=make_pruner(tuning, self.space.own),
        )
        # The one that it reads through, so that it sees what is written here.
        self._storage = self._optuna._storage
        self._keep_contract(config)
        self._given = [self.space.defaults, *map(self._best_of, tuning.warm_start)]
        if tuning.sampler == "grid":
            self._given += [one for one in self.space.grid(tuning.seed) if one not in self._given]

    def ask(self, slot: str | None = None) -> int | None:
        """Begins a trial and returns its number; None where a grid has no more.

        Args:
            slot: names who asks; who asks again under that name gets the number of before.
        """
        if slot is not None and (number := self.number_of(slot)) is not None:
            return number
        if self.tuning.sampler == "grid" and len(self.trials()) >= len(self._given):
            return None
        trial_id = self._storage.create_new_trial(self._optuna._study_id)
        if slot is not None:
            self._storage.set_trial_user_attr(trial_id, _SLOT, slot)
        number = self._storage.get_trial(trial_id).number
        self.settings_of(number)
        return number

    def settings_of(self, number: int) -> dict[str, Value]:
        """The hyperparameters of a trial; chosen now, if the process that asked for it was killed before."""
        trial = self._frozen(number)
        if _SETTINGS not in trial.user_attrs:
            settings = self._choose(trial)
            self._storage.set_trial_user_attr(trial._trial_id, _SETTINGS, json.dumps(settings))
            return settings
        return dict(json.loads(trial.user_attrs[_SETTINGS]))

    def report(self, number: int, epochs: int, value: float) -> bool:
        """Notes a measurement after so many epochs; whether the trial ends there. That of the defaults never does."""
        trial_id = self._frozen(number)._trial_id
        if epochs not in self._frozen(number).intermediate_values:
            self._storage.set_trial_intermediate_value(trial_id, epochs, value)
        return number > 0 and self._optuna.pruner.prune(self._optuna, self._frozen(number))

    def spend(self, number: int, epochs: int, seconds: float) -> None:
        """Notes what a trial that is under way has cost so far."""
        if self._has_ended(number):
            return
        trial_id = self._frozen(number)._trial_id
        self._storage.set_trial_user_attr(trial_id, _EPOCHS, epochs)
        self._storage.set_trial_user_attr(trial_id, _SECONDS, seconds)

    def complete(self, number: int, value: float) -> None:
        """Tells that a trial came to its end; one that has ended already stays as it is."""
        self._tell(number, State.COMPLETE, value)

    def prune(self, number: int, reason: str) -> None:
        """Tells that a trial ended early, because of what was measured."""
        self._tell(number, State.PRUNED, None, {_REASON: reason})

    def fail(self, number: int, kind: str, reason: str) -> None:
        """Tells that a trial crashed. Where memory did not suffice, later ones have smaller batches."""
        settings = self.settings_of(number)
        if kind == OUT_OF_MEMORY and not self._has_ended(number):
            values = min(self.space.batch_values(settings), self._memory_limit or float("inf"))
            self._optuna.set_user_attr(_MEMORY, values)
            if not self.space.is_smallest(settings):
                kind = f"{OUT_OF_MEMORY} with {settings['batch_size']} images a batch"
        self._tell(number, State.FAIL, None, {_REASON: without_secrets(reason), _KIND: kind})

    def begin_from(self, facts: Mapping[str, str]) -> None:
        """Holds what trials are trained on and from against what those before were.

        Raises:
            UsageError: it is something else, so that they could not be compared.
        """
        before = self._optuna.user_attrs.get(_START)
        if before is None:
            self._optuna.set_user_attr(_START, dict(facts))
            return
        if changed := [
            f"{name} {facts[name]}, before {before.get(name)}" for name in facts if facts[name] != before.get(name)
        ]:
            raise UsageError(
                f"the trials of the study {self.name} could not be compared with new ones: {'; '.join(changed)}. Name "
                "another study, or the same data and start (seed_mode, parent)"
            )

    def stop(self) -> None:
        """Lets no more trials begin."""
        self._optuna.set_user_attr(_STOP, True)

    def resume(self) -> None:
        """Takes `stop` back."""
        self._optuna.set_user_attr(_STOP, False)

    def trials(self) -> list[Trial]:
        """All trials by number."""
        return [_record(one) for one in self._optuna.get_trials(deepcopy=False)]

    def ranked(self) -> list[Trial]:
        """The trials that came to their end, the best first, the earlier of equal ones."""
        sign = 1 if self.tuning.is_loss else -1
        done = [one for one in self.trials() if one.state is TrialState.COMPLETE and one.value is not None]
        return sorted(done, key=lambda one: (sign * (one.value or 0.0), one.number))

    def importance(self) -> tuple[dict[str, float], str]:
        """See `importance_of`."""
        return importance_of(self._optuna)

    def ended(self, images: int) -> str | None:
        """Why no trial begins any more; None where one may.

        Args:
            images: of the training split, which an epoch passes once.
        """
        trials, tuning = self.trials(), self.tuning
        if failed := _same_failures(trials):
            return f"{len(failed)} trials failed in the same way: {failed[-1].reason}"
        if self._optuna.user_attrs.get(_STOP):
            return "stopped as asked"
        if len(trials) >= tuning.trials:
            return f"{tuning.trials} trials"
        if tuning.max_image_passes and images * sum(one.epochs for one in trials) >= tuning.max_image_passes:
            return f"the budget of {tuning.max_image_passes:,} image passes"
        if tuning.max_hours and sum(one.seconds for one in trials) >= 3600 * tuning.max_hours:
            return f"the budget of {tuning.max_hours:g} hours"
        return None

    @property
    def has_failed(self) -> bool:
        """Whether failures of one kind ended it."""
        return bool(_same_failures(self.trials()))

    @property
    def _memory_limit(self) -> float | None:
        found = self._optuna.user_attrs.get(_MEMORY)
        return None if found is None else float(found)

    def number_of(self, slot: str) -> int | None:
        """The trial that was asked for under a name; None where none was."""
        trials = self._optuna.get_trials(deepcopy=False)
        return next((one.number for one in trials if one.user_attrs.get(_SLOT) == slot), None)

    def _choose(self, trial: FrozenTrial) -> dict[str, Value]:
        """Settings that are given, or those that the sampler proposes; parameters that are noted already stay."""
        if trial.number < len(self._given):
            settings = self._given[trial.number]
            for name, value in self.space.inside(settings).items():
                if name not in trial.params:
                    distribution = self.space.distribution(name)
                    inner = distribution.to_internal_repr(value)
                    self._storage.set_trial_param(trial._trial_id, name, inner, distribution)
            return settings
        return self.space.suggest(optuna.Trial(self._optuna, trial._trial_id), self._memory_limit)

    def _best_of(self, name: str) -> dict[str, Value]:
        """The best settings of an earlier study, as this one tunes them."""
        try:
            earlier = optuna.load_study(study_name=name, storage=self._storage)
            found = earlier.best_trial.user_attrs[_SETTINGS]
        except (KeyError, ValueError):
            known = ", ".join(optuna.get_all_study_names(self._storage)) or "none"
            raise UsageError(
                f"tuning_warm_start: there is no study {shorten(name)} with a trial that ended; there are {known}"
            ) from None
        return self.space.complete(json.loads(found))

    def _keep_contract(self, config: RunConfig) -> None:
        """Holds what is asked for against what the study was opened with."""
        asked: dict[str, Any] = {
            **json.loads(config.to_json()),
            **{
                f"tuning_{name}": value
                for name, value in self.tuning.model_dump(mode="json", exclude=self.FREE).items()
            },
        }
        kept = self._optuna.user_attrs.get(_CONTRACT)
        if kept is None:
            self._optuna.set_user_attr(_CONTRACT, json.dumps(asked))
            return
        before: dict[str, Any] = json.loads(kept)
        if changed := sorted(name for name in {*asked, *before} if asked.get(name) != before.get(name)):
            raise UsageError(
                f"the study {self.name} was opened with other settings ({', '.join(changed)}); its trials could not be "
                "compared with new ones: give another --study, or the same settings"
            )

    def _tell(self, number: int, state: State, value: float | None, notes: Mapping[str, str] | None = None) -> None:
        if self._has_ended(number):
            return
        for name, text in (notes or {}).items():
            self._storage.set_trial_user_attr(self._frozen(number)._trial_id, name, text)
        self._optuna.tell(number, value, state=state, skip_if_finished=True)

    def _has_ended(self, number: int) -> bool:
        return self._frozen(number).state.is_finished()

    def _frozen(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(
            self._storage.get_trial_id_from_study_id_trial_number(self._optuna._study_id, number)
        )


def _same_failures(trials: list[Trial]) -> list[Trial]:
    """The trials that failed by the most frequent kind of failure; none where those are too few to end a study."""
    failed = [one for one in trials if one.state is TrialState.FAILED]
    kinds = Counter(one.kind for one in failed).most_common(1)
    return [one for one in failed if one.kind == kinds[0][0]] if kinds and kinds[0][1] >= SAME_FAILURES else []


def _record(trial: FrozenTrial) -> Trial:
    noted = trial.user_attrs
    return Trial(
        number=trial.number,
        state=_STATES[trial.state],
        settings=json.loads(noted.get(_SETTINGS, "{}")),
        value=trial.value,
        curve=trial.intermediate_values,
        epochs=noted.get(_EPOCHS, 0),
        seconds=noted.get(_SECONDS, 0.0),
        reason=noted.get(_REASON),
        kind=noted.get(_KIND),
    )
