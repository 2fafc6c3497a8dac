from .lineage import trace as trace
from .runner import choose_seed as choose_seed
from .runner import output_folder as output_folder
from .runner import run_node as run_node
from .runner import run_pipeline as run_pipeline
