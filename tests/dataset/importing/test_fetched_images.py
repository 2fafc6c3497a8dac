"""Images that a manifest of Ground Truth names on S3, fetched from a real server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from foreign import BOX, convert, picture, refused, write
from tool_exports import manifest_line

from boxwright.errors import UsageError

if TYPE_CHECKING:
    from seaweed import Seaweed


@pytest.fixture
def bucket(s3: Seaweed, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """With images that a camera each has, of equal names, and one whose key is no address as browsers write it."""
    uri = s3.make_bucket(request.node.name.replace("_", "-")[:40])
    for number, name in enumerate(("cam1/p0.jpg", "cam2/p0.jpg", "cam2/a b#1%20.jpg")):
        picture(tmp_path / "there" / name, number)
    s3.put_tree(tmp_path / "there", f"{uri}/jobs/photos")
    return f"{uri}/jobs/photos"


def test_images_come_from_s3_under_their_keys(bucket: str, tmp_path: Path) -> None:
    names = ("cam1/p0.jpg", "cam2/p0.jpg", "cam2/a b#1%20.jpg")
    lines = "".join(f"{manifest_line(f'{bucket}/{name}')}\n" for name in names)
    manifest = write(tmp_path / "set" / "output.manifest", lines)
    refused(manifest, "give --fetch")
    found = convert(manifest, fetch=True)
    assert found.boxes == {name: [("bolt", BOX)] for name in names}
    for name in names:
        assert (found.folder / "images" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert sorted(path.name for path in manifest.parent.parent.iterdir() if path.name.startswith(".")) == []


def test_each_that_is_not_there_is_named_with_its_line(bucket: str, tmp_path: Path) -> None:
    lines = [manifest_line(f"{bucket}/{name}") for name in ("no.jpg", "cam1/p0.jpg", "nor.jpg")]
    lines.append(manifest_line("s3://no-such-bucket/p0.jpg"))
    manifest = write(tmp_path / "set" / "output.manifest", "\n".join(lines))
    refused(manifest, "3 bad records", "line 1", "no.jpg", "line 3", "nor.jpg", "line 4", "no-such-bucket", fetch=True)
    found = convert(manifest, fetch=True, on_invalid="drop")
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]}


def test_where_the_images_are_is_said_once(tmp_path: Path) -> None:
    manifest = write(tmp_path / "output.manifest", manifest_line())
    with pytest.raises(UsageError, match="--fetch and --images"):
        convert(manifest, fetch=True, images=tmp_path)
