from __future__ import annotations

import os

import pytest
import seaweed

from boxwright.config.settings import Settings
from boxwright.stack import sample
from boxwright.stack.environment import BUCKET, Stack, open_stack, stack_environment
from boxwright.stack.ports import DEFAULTS


@pytest.fixture
def stack(home: Settings, s3: seaweed.Seaweed) -> Stack:
    """A stack whose S3 is the one of the tests."""
    found = open_stack(home, DEFAULTS | {"s3": int(s3.endpoint.rpartition(":")[2])})
    found.secrets.update(s3_access_key=s3.access_key, s3_secret_key=s3.secret_key)
    if BUCKET not in [bucket["Name"] for bucket in s3.client().list_buckets()["Buckets"]]:
        s3.make_bucket(BUCKET)
    return found


def test_the_sample_that_the_form_offers_is_brought_into_the_bucket_once(
    stack: Stack, home: Settings, s3: seaweed.Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SAMPLE_IMAGES", 10)
    told: list[str] = []

    uri = sample.place_sample(home, stack, told.append)

    assert told == [uri] == [f"s3://{BUCKET}/datasets/sample-10"]
    keys = [one["Key"] for one in s3.client().list_objects_v2(Bucket=BUCKET, Prefix="datasets/sample-10/")["Contents"]]
    assert {f"datasets/sample-10/{split}/annotations.json" for split in ("training", "validation", "test")} < set(keys)
    assert len([key for key in keys if key.endswith(".jpg")]) == 10
    assert sample.place_sample(home, stack, told.append) == uri and len(told) == 1


def test_the_form_of_the_stack_offers_it(stack: Stack) -> None:
    made = stack_environment(stack, os.environ)
    assert made["BOXWRIGHT_SAMPLE_URI"] == f"s3://{BUCKET}/datasets/sample-{sample.SAMPLE_IMAGES}"
