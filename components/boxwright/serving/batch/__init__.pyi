from .files import Looked as Looked
from .files import images_at as images_at
from .files import look_at as look_at
from .files import record as record
from .steps import plan_batch as plan_batch
from .steps import predict_shard as predict_shard
from .steps import write_manifest as write_manifest
