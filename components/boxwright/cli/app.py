"""The command line, `boxwright`. Results go to stdout, progress and errors to stderr.

Exit codes: 0 done, 1 the data is not usable, 2 a parameter, URI or credential is wrong, 3 the model did not pass the
quality gate, 4 storage or a server did not answer (try again), 5 training could not go on, 6 some of many images could
not be processed, 7 a training was stopped as asked and can go on, 70 a bug of Boxwright.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import traceback
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.tree import Tree

import boxwright
from boxwright.cli import benchmark as benchmark_commands
from boxwright.cli import database as database_commands
from boxwright.cli import dataset as dataset_commands
from boxwright.cli import doctor as doctor_commands
from boxwright.cli import evaluation as evaluation_commands
from boxwright.cli import export as export_commands
from boxwright.cli import models as model_commands
from boxwright.cli import registry as release_commands
from boxwright.cli import run as run_commands
from boxwright.cli import sagemaker as sagemaker_commands
from boxwright.cli import serving as serving_commands
from boxwright.cli import stack as stack_commands
from boxwright.cli import tune as tune_commands
from boxwright.cli import upload as upload_commands
from boxwright.cli import weights as weights_commands
from boxwright.cli.options import AsJson
from boxwright.cli.tables import wide_console
from boxwright.config import Settings
from boxwright.errors import BUG_EXIT_CODE, BoxwrightError, UsageError
from boxwright.quiet import VERBOSE, is_verbose, quieten
from boxwright.storage import disk_error, local_path

app = typer.Typer(no_args_is_help=True, help="Fine-tunes, evaluates, registers and serves object detectors.")
for command in (
    run_commands.run,
    run_commands.stop,
    tune_commands.tune,
    dataset_commands.rules,
    dataset_commands.validate,
    dataset_commands.convert,
    model_commands.models,
    evaluation_commands.evaluate,
    evaluation_commands.compare,
    export_commands.export,
    benchmark_commands.benchmark,
    serving_commands.predict,
    serving_commands.serve,
    stack_commands.up,
    stack_commands.down,
    stack_commands.status,
    doctor_commands.doctor,
    stack_commands.demo,
    stack_commands.trigger,
    upload_commands.upload,
):
    app.command()(command)
app.add_typer(release_commands.app, name="registry")

app.add_typer(database_commands.app, name="db")
app.add_typer(weights_commands.app, name="weights")
app.add_typer(sagemaker_commands.app, name="sagemaker")

out = Console()
progress = Console(stderr=True)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"boxwright {boxwright.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show all that libraries log, too.")] = False,
) -> None:
    """The options before a command."""
    if verbose:
        os.environ[VERBOSE] = "1"
    if is_verbose():
        logging.getLogger().setLevel(logging.INFO)
    else:
        quieten()
        warnings.filterwarnings("ignore")


@app.command()
def sample(
    out_dir: Annotated[
        Path, typer.Argument(parser=local_path, metavar="FOLDER", help="New or empty folder for the dataset.")
    ],
    images: Annotated[int, typer.Option(min=10, help="Number of images in all splits together.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the images.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Generates a sample dataset of three classes; equal seeds give equal datasets."""
    from boxwright.dataset.sample import generate_sample

    summary = generate_sample(out_dir, images=images, seed=seed)
    if as_json:
        typer.echo(json.dumps(asdict(summary) | {"folder": str(out_dir)}))
        return
    for split, count in summary.images.items():
        line = f"{out_dir / split}: {count} images, {summary.boxes[split]} boxes"
        out.print(line, soft_wrap=True, markup=False)
    out.print(f"classes {', '.join(summary.classes)}")


@app.command()
def lineage(
    model: Annotated[
        str, typer.Argument(help="models:/NAME/VERSION, models:/NAME@ALIAS, or NAME for the newest version.")
    ],
    as_json: AsJson = False,
) -> None:
    """Prints the lineage of a model: dataset, examples, seed, model, metrics, version, and the same of its parents."""
    from boxwright.pipeline import trace

    chain = trace(model, Settings.from_environment())
    if as_json:
        typer.echo(json.dumps([asdict(version) for version in chain]))
        return
    tree = None
    for step in chain:
        branch = Tree(f"[bold]{escape(step.reference)}[/bold]  run {escape(step.run_id)}")
        for name, facts in step.facts.items():
            told = "  ".join(f"{key}={value}" for key, value in facts.items())
            branch.add(f"[cyan]{name}[/cyan]  {escape(told)}")
        if tree is None:
            tree = innermost = branch
        else:
            innermost.add("[bold]trained from[/bold]").add(branch)
            innermost = branch
    wide_console().print(tree)


def _start_logging() -> None:
    """Shows Boxwright's own lines, and of libraries those that are worth reading."""
    handler: logging.Handler = RichHandler(console=progress, show_path=False, show_level=False)
    # By the stream itself: a notebook's environment asks for colours, which whoever reads its lines does not expect.
    if not sys.stderr.isatty():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("boxwright").setLevel(logging.INFO)


def main() -> None:
    """Runs the command line; a `BoxwrightError` ends it with one line and its exit code, a bug with a reference."""
    _start_logging()
    try:
        app()
    except BoxwrightError as error:
        _end(error)
    except Exception as error:
        found = disk_error(error, Settings.from_environment().home, "boxwright")
        if found is not None:
            _end(found)
        if isinstance(error, ModuleNotFoundError) and (missing := _missing_part(error)):
            _end(missing)
        _report_bug(error)


def _missing_part(error: ModuleNotFoundError) -> UsageError | None:
    """The extras to install where a module is missing; None where the module is our own."""
    module = (error.name or "").partition(".")[0]
    if module.startswith("boxwright") or not module:
        return None
    return UsageError(
        f"this needs a part of Boxwright that is not installed (no module {module}): pip install 'boxwright[serve]' to "
        "predict and serve, 'boxwright[export]' for other formats, 'boxwright[train]' for datasets, runs and "
        "evaluation, 'boxwright[stack]' for all on one machine"
    )


def _end(error: BoxwrightError) -> NoReturn:
    progress.print(f"[bold red]error:[/bold red] {escape(str(error))}", soft_wrap=True)
    sys.exit(error.exit_code)


def _report_bug(error: Exception) -> NoReturn:
    """Prints what a developer needs; the reference is the same wherever the same fault appears."""
    from boxwright import __version__

    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{Path(frame.filename).name}:{frame.name}" for frame in frames if "boxwright" in frame.filename]
    reference = hashlib.sha256("|".join([type(error).__name__, *own]).encode()).hexdigest()[:8]
    sys.stderr.write("".join(traceback.format_exception(error)))
    line = (
        f"this {type(error).__name__} is a bug of Boxwright; report it with the lines above, the version {__version__} "
        f"and the reference {reference}. Steps that finished are kept"
    )
    progress.print(f"[bold red]error:[/bold red] {escape(line)}", soft_wrap=True)
    sys.exit(BUG_EXIT_CODE)


if __name__ == "__main__":
    main()
