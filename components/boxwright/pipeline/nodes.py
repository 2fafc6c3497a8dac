"""The one table of a run's steps: nodes of the pipeline, and tasks of the Airflow DAG.

The graph, `boxwright run`, the DAG with its links and pages, and the commands that follow a run read it; nothing else
knows a step by its name. A step is added as a row here, as the function of the same name in `data_steps.py` or
`model_steps.py` with the type of its artifact, and at its place in `graph.py`. Airflow reads this module each time it
parses the DAG, so it imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

# Airflow's pool of slots on accelerators. A task in a pool that does not exist never starts: set-up creates it.
GPU_POOL = "gpu"
# Queues of workers for what an accelerator does, and for what moves data. Airflow's default queue has what is light.
GPU_QUEUE, DATA_QUEUE = "gpu", "data"


class Phase(Enum):
    """The parts of a run, in the order in which they run."""

    DATA = auto()  # of every run
    SEED = auto()  # one of its nodes, whichever fetches what the run starts from
    REUSE = auto()  # instead of all other phases that follow the data, where a finished run has made the same model
    STUDY = auto()  # of a tuning alone, after its trials
    MODEL = auto()
    RELEASE = auto()


class Leaves(Enum):
    """A result of a node for people, apart from its artifact."""

    VALIDATION_REPORT = auto()
    TRAINING_CURVES = auto()
    EVALUATION_REPORT = auto()
    GATE_REPORT = auto()
    VERSION = auto()


@dataclass(frozen=True)
class Traced:
    """The properties of a node's artifact that the lineage of a model shows, and their name there."""

    name: str
    properties: tuple[str, ...]


_SEED = Traced("seed", ("kind", "origin", "reason"))


@dataclass(frozen=True)
class Node:
    """One step of a run.

    Attributes:
        id: of the TFX node, of the Airflow task, and of the step's function.
        title: its name for people.
        does: what it does, as a sentence that begins with its name.
        phase: where in the run it belongs; nodes of a phase run in the order of the table.
        seed: the kind of seed that it fetches; for nodes of `Phase.SEED`.
        leaves: what people find when it has ended.
        ends_as: the status of a run that ends with it.
        traced: its part of a model's lineage.
        needs_gpu: whether it waits for a slot of `GPU_POOL`.
        queue: of the workers that do it, unless an administrator says otherwise; None for Airflow's default.
        shards_ahead: whether it fetches the examples' shards while it works, rather than before.
        by_beam: whether Beam's workers do it where there are any; they fetch the dataset's images themselves.
    """

    id: str
    title: str
    does: str
    phase: Phase
    seed: Literal["pretrained", "incremental"] | None = None
    leaves: Leaves | None = None
    ends_as: Literal["registered", "reused"] | None = None
    traced: Traced | None = None
    needs_gpu: bool = False
    queue: str | None = None
    shards_ahead: bool = False
    by_beam: bool = False

    @property
    def registers(self) -> bool:
        """Whether it adds a version to the registry."""
        return self.ends_as == "registered"


NODES: tuple[Node, ...] = (
    Node(
        "validate_annotations",
        "Validate annotations",
        "names every bad record of the datasets before anything else is spent on them",
        Phase.DATA,
        leaves=Leaves.VALIDATION_REPORT,
    ),
    Node(
        "download_dataset",
        "Download dataset",
        "fetches the images and annotations of each split",
        Phase.DATA,
        leaves=Leaves.VALIDATION_REPORT,
        traced=Traced("dataset", ("fingerprint", "images", "boxes")),
        queue=DATA_QUEUE,
    ),
    Node(
        "build_examples",
        "Build examples",
        "writes them as sharded TFRecords, with a validation split held out where none is given",
        Phase.DATA,
        traced=Traced("examples", ("classes", "uri")),
        queue=DATA_QUEUE,
        by_beam=True,
    ),
    Node(
        "fetch_pretrained",
        "Fetch pretrained weights",
        "takes the weights of the model id as the seed",
        Phase.SEED,
        seed="pretrained",
        traced=_SEED,
    ),
    Node(
        "resolve_parent",
        "Resolve parent",
        "takes an earlier model of this kind as the seed",
        Phase.SEED,
        seed="incremental",
        traced=_SEED,
    ),
    Node(
        "reuse_version",
        "Reuse version",
        "ends the run with the version that a finished run of the same recipe made, if it passes the gate of this run",
        Phase.REUSE,
        leaves=Leaves.VERSION,
        ends_as="reused",
    ),
    Node(
        "choose_best",
        "Choose best",
        "proves the best trials of a study against the settings as they are, and takes what won",
        Phase.STUDY,
        traced=Traced("study", ("study", "settings")),
        needs_gpu=True,
        queue=GPU_QUEUE,
    ),
    Node(
        "fine_tune",
        "Fine-tune",
        f"trains the detector; it needs a slot of the pool `{GPU_POOL}`",
        Phase.MODEL,
        leaves=Leaves.TRAINING_CURVES,
        traced=Traced("model", ("model_id", "epochs", "uri")),
        needs_gpu=True,
        queue=GPU_QUEUE,
        shards_ahead=True,
    ),
    Node(
        "evaluate",
        "Evaluate",
        "measures COCO AP, AP50 and their like on the test images, per class and with pictures",
        Phase.MODEL,
        leaves=Leaves.EVALUATION_REPORT,
        traced=Traced("metrics", ("split", "AP", "AP50")),
        queue=GPU_QUEUE,
    ),
    Node(
        "export_label_map",
        "Export label map",
        "writes which output index means which class",
        Phase.MODEL,
    ),
    Node(
        "package_model",
        "Package model",
        "packs the model, its label map and its metrics as `{output}/{run_id}/output/model.tar.gz`",
        Phase.MODEL,
    ),
    Node(
        "export_formats",
        "Export formats",
        "writes the model in the formats of `export_formats`, and measures each on the evaluation images",
        Phase.MODEL,
        traced=Traced("formats", ("kept", "dropped")),
    ),
    Node(
        "quality_gate",
        "Quality gate",
        "fails the run when the model detects too little",
        Phase.MODEL,
        leaves=Leaves.GATE_REPORT,
    ),
    Node(
        "register_model",
        "Register model",
        "adds a version to the model registry and announces it as an event of the asset `object_detection_model`",
        Phase.RELEASE,
        leaves=Leaves.VERSION,
        ends_as="registered",
        traced=Traced("version", ("model_name", "version", "archive")),
    ),
)


def find_node(node_id: str) -> Node:
    """The node of that id.

    Raises:
        ValueError: there is none.
    """
    for node in NODES:
        if node.id == node_id:
            return node
    raise ValueError(f"the pipeline has no node {node_id!r}; its nodes are {', '.join(node.id for node in NODES)}")


def nodes_of(*phases: Phase) -> tuple[Node, ...]:
    """The nodes of these phases, in the order in which they run."""
    return tuple(node for node in NODES if node.phase in phases)


def nodes_leaving(result: Leaves) -> tuple[Node, ...]:
    """The nodes that leave this for people, in the order in which they run."""
    return tuple(node for node in NODES if node.leaves is result)
