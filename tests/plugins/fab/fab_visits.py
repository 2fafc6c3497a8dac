"""An Airflow with FAB, as the people of each role visit it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from boxwright.registry.port import Registry

TOKEN_HEADER = "X-Boxwright-Token"


@dataclass(frozen=True)
class FabAirflow:
    """A running api-server.

    Attributes:
        url: its address.
        registry: the models that its pages show: `detector`, of which 3 is the champion.
        dataset: folder of one that its runs may read.
        bucket: URI of one to which its users may upload.
    """

    url: str
    registry: Registry
    dataset: Path
    bucket: str


@dataclass
class Visitor:
    """Somebody with a browser; `role` is the lower-case name of theirs, None of somebody who has not logged in."""

    role: str | None
    airflow: FabAirflow
    client: httpx.Client = field(repr=False)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.client.get(f"/boxwright{path}", params=query or None)

    def post(self, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """What one of our pages asks for: a form's fields, or the bytes that a script sends."""
        headers = {"Sec-Fetch-Site": "same-origin", TOKEN_HEADER: self.token}
        kind = {"content": body} if isinstance(body, bytes) else {"data": {"token": self.token} | (body or {})}
        return self.client.post(f"/boxwright{path}", params=query or None, headers=headers, **kind)

    def api(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request to Airflow's own API."""
        return self.client.request(method, f"/api/v2{path}", json=body)

    @property
    def token(self) -> str:
        """Of a page that each role that reads the DAG may open; empty for the others."""
        found = re.search(r'data-token="([^"]+)"', self.get("/try/detector/1").text)
        return found[1] if found else ""
