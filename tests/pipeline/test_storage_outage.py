"""S3 goes away between two steps and comes back: exit code 4, and the run goes on where it was."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import seaweed

from boxwright.config.run_info import new_run
from boxwright.errors import StorageError
from boxwright.pipeline.runner import run_node

RUN = new_run("storage-outage")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of this test's own, with its folder and ports."""
    folder, ports = tmp_path / "weed", seaweed.free_ports(4)
    folder.mkdir()
    running = seaweed.start(folder, ports=ports)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    again = []

    def restart():
        again.append(seaweed.start(folder, ports=ports))

    yield running, restart
    for one in again:
        one.stop()
    if running.process.poll() is None:
        running.stop()


def test_a_store_that_is_away_for_a_while_costs_a_try(server, dataset, settings_of, tmp_path, monkeypatch):
    running, restart = server
    monkeypatch.setenv("BOXWRIGHT_CACHE", str(tmp_path / "cache"))
    uri = running.make_bucket("data")
    running.put_tree(dataset / "training", f"{uri}/training")
    config = settings_of(training=f"{uri}/training", validation=None, test=None, output=f"{uri}/out")
    first = run_node(config, RUN, "validate_annotations")
    running.stop()
    address = urlsplit(running.endpoint).netloc
    with pytest.raises(StorageError, match=f"{address}.*[Rr]un again") as caught:
        run_node(config, RUN, "download_dataset")
    assert caught.value.exit_code == 4
    restart()
    assert run_node(config, RUN, "validate_annotations") == first, "it is not done again"
    assert run_node(config, RUN, "download_dataset")["images"] > 0
    assert run_node(config, RUN, "build_examples")["uri"]
