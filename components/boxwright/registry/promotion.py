"""The aliases `candidate`, `champion` and `previous` of a registered model.

MLflow moves an alias without looking at where it was, so compare-and-set is made here. Processes of one machine take
turns by a lock that the caller holds. Between machines a decision may be overtaken between its reading and its
writing: so whoever wrote reads again, and corrects itself by the versions that were not settled when it decided. As
every writer does, and settles a version only after that, the last of them sees all others: when all have returned,
the champion is one that none of the new versions outdoes.
"""

from __future__ import annotations

import time

from boxwright.config import CANDIDATE, CHAMPION, PREVIOUS
from boxwright.errors import StorageError, UsageError
from boxwright.registry.mlflow_client import MissingError, MlflowClient
from boxwright.registry.port import ACCEPTED, SETTLED, Version

ATTEMPTS = 3


def outdoes(version: Version, champion: Version) -> bool:
    """Whether a version takes a champion's place by itself: as good in AP, and not of an earlier time.

    A champion without a known AP was made one by a person, and stays.
    """
    if version.ap is None or champion.ap is None:
        return False
    return version.ap >= champion.ap and version.as_of >= champion.as_of


class Aliases:
    """The aliases of one registered model; the caller holds the registry's lock.

    Args:
        client: of the registry.
        name: the registered model.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self._client, self._name = client, name

    def named(self, alias: str) -> Version | None:
        """The version that an alias points at, or None."""
        # MLflow's own meaning of "latest" is the newest version, whether it was accepted or not.
        if alias.lower() != "latest":
            try:
                return self._client.version_of_alias(self._name, alias)
            except UsageError:
                pass  # that there is no such alias is told by the list of them alone
        try:
            number = self._client.model(self._name).aliases.get(alias)
            return None if number is None else self._client.version(self._name, number)
        except MissingError:
            return None

    def settle(self, version: Version) -> None:
        """Decides about the aliases of a new version; repeated after a crash halfway, it decides the same."""
        if version.accepted:
            self._move_candidate()
            # Before the aliases: what is settled here has had its say on the champion that is read next.
            settled = {one.version for one in self._versions() if one.settled}
            champion = self._champion()
            if champion is None or (champion.version != version.version and outdoes(version, champion)):
                self._move(champion, version)
                self._give_way(settled)
        self._client.set_version_tag(self._name, version.version, SETTLED, "true")

    def promote(self, version: Version, expected: int | None = None) -> Version | None:
        """Makes a version the champion because a person says so; returns the champion before.

        Raises:
            UsageError: the version is not accepted, or the champion is not the expected one.
            StorageError: another machine moved the champion at the same time.
        """
        if not version.accepted:
            raise UsageError(
                f"{version.reference} did not pass its gate or was rejected; set its tag {ACCEPTED} to true in MLflow "
                "if that was wrong, then promote it"
            )
        champion = self._champion()
        self._check_expected(champion, expected)
        if champion is None or champion.version != version.version:
            self._move(champion, version)
            self._verify(version)
        return champion

    def rollback(self, reject: bool, expected: int | None = None) -> tuple[Version, Version]:
        """Makes the champion before the champion again; returns the one that went and the one that came.

        Args:
            reject: withdraw the one that went: no later run starts from it.
            expected: number of the champion that the caller has seen; unset, whichever it is.

        Raises:
            UsageError: there is no champion before, or the champion is not the expected one.
            StorageError: another machine moved the champion at the same time.
        """
        champion, previous = self._champion(), self.named(PREVIOUS)
        self._check_expected(champion, expected)
        if champion is None or previous is None or previous.version == champion.version:
            raise UsageError(f"{self._name} has no previous champion; promote a version by its number")
        if not previous.accepted:
            raise UsageError(f"the previous champion {previous.reference} was rejected; promote another version")
        if reject:
            self._client.set_version_tag(self._name, champion.version, ACCEPTED, "false")
        # The champion first: after a kill in between, a second roll back must not lose where to go.
        self._set(CHAMPION, previous)
        if reject:
            self._client.delete_alias(self._name, PREVIOUS)
            self._move_candidate()
        else:
            self._set(PREVIOUS, champion)
        self._verify(previous)
        return champion, previous

    def _check_expected(self, champion: Version | None, expected: int | None) -> None:
        if expected is not None and expected != (champion.version if champion else 0):
            now = champion.reference if champion else "none"
            seen = f"version {expected}" if expected else "none"
            raise UsageError(
                f"the champion of {self._name} is {now}, not {seen}: it has changed in the meantime; check it again"
            )

    def _move(self, champion: Version | None, version: Version) -> None:
        # The previous one first: repeated after a kill in between, the same move is made.
        if champion is not None:
            self._set(PREVIOUS, champion)
        self._set(CHAMPION, version)

    def _give_way(self, settled: set[int]) -> None:
        """Corrects a champion that overwrote a better one, which another machine made at the same moment."""
        while True:
            champion = self._champion()
            rivals = [one for one in self._versions() if one.accepted and one.version not in settled]
            better = [one for one in rivals if champion and _beats(one, champion)]
            if not better:
                return
            self._move(champion, max(better, key=lambda one: (one.as_of, one.ap or 0.0, one.version)))

    def _move_candidate(self) -> None:
        """Brings `candidate` to the newest accepted version; read again, for another machine's may have come."""
        while True:
            newest = max((one for one in self._versions() if one.accepted), key=lambda one: one.version, default=None)
            current = self.named(CANDIDATE)
            if current and not current.accepted and newest is None:
                self._client.delete_alias(self._name, CANDIDATE)
            if newest is None or (current and current.accepted and current.version >= newest.version):
                return
            self._set(CANDIDATE, newest)

    def _verify(self, version: Version) -> None:
        champion = self._champion()
        if champion is None or champion.version != version.version:
            raise StorageError(
                f"another machine made {champion.reference if champion else 'no version'} the champion just after "
                f"{version.reference}; check the registry, then try again"
            )

    def _champion(self) -> Version | None:
        return self.named(CHAMPION)

    def _versions(self) -> list[Version]:
        return [one for page in self._client.version_pages(f"name = '{self._name}'") for one in page]

    def _set(self, alias: str, version: Version) -> None:
        """Sets an alias; again where MLflow fails, which it does when two machines make the same alias at once."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._client.set_alias(self._name, alias, version.version)
                return
            except StorageError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(0.2 * attempt)


def _beats(version: Version, champion: Version) -> bool:
    """`outdoes`, with the later version winning among equals, so that two machines agree."""
    equal = (version.ap, version.as_of) == (champion.ap, champion.as_of)
    return outdoes(version, champion) and (not equal or version.version > champion.version)
