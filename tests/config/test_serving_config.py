"""The server of a model and the stack of one machine stand beside each other as they are."""

from __future__ import annotations

from boxwright.config import ServingConfig
from boxwright.stack.ports import DEFAULTS, GRPC_OFFSET


def test_serving_takes_no_port_of_the_stack() -> None:
    taken = {*DEFAULTS.values(), *(port + GRPC_OFFSET for port in DEFAULTS.values())}
    assert ServingConfig.model_fields["port"].default not in taken
