"""The command line as a user meets it: what it prints, and how it ends when the input is bad."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import pytest
from walk import EPOCHS, block, replaced, words

from boxwright.cli import app as cli
from boxwright.config import RunConfig
from boxwright.dataset.sample.generate import generate_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "sample"
    generate_sample(folder, images=12, seed=2)
    return folder


@pytest.fixture
def broken(sample, tmp_path, monkeypatch):
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "set"
    shutil.copytree(sample / "training", folder)
    return folder


@pytest.fixture
def boxwright(monkeypatch, capsys):
    """Runs the command line in this process: (exit code, stdout, the error line)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["boxwright", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        errors = [line for line in captured.err.splitlines() if line.startswith("error:")]
        return ended.value.code or 0, captured.out, errors[-1] if errors else ""

    return run


def _edit(folder, change):
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _first_image(folder):
    name = json.loads((folder / "annotations.json").read_text())["images"][0]["file_name"]
    return folder / "images" / name


def _outside(content):
    content["annotations"][0]["bbox"] = [5, 5, 99999, 50]


def _unknown_category(content):
    content["annotations"][0]["category_id"] = 77


def _empty(content):
    content["images"], content["annotations"] = [], []


BAD_DATA = {
    "no annotations": (lambda folder: (folder / "annotations.json").unlink(), "annotations.json"),
    "invalid JSON": (lambda folder: (folder / "annotations.json").write_text('{"images": ['), "annotations.json"),
    "image missing": (lambda folder: _first_image(folder).unlink(), ".jpg"),
    "image truncated": (lambda f: _first_image(f).write_bytes(_first_image(f).read_bytes()[:900]), ".jpg"),
    "no image": (lambda folder: _first_image(folder).write_text("hello"), ".jpg"),
    "box outside": (lambda folder: _edit(folder, _outside), "99999"),
    "unknown category": (lambda folder: _edit(folder, _unknown_category), "77"),
    "empty": (lambda folder: _edit(folder, _empty), "empty"),
}


@pytest.mark.parametrize("fault", BAD_DATA)
def test_bad_data_ends_with_one_line_that_names_it(fault, broken, tmp_path, boxwright):
    spoil, named = BAD_DATA[fault]
    spoil(broken)
    code, _, error = boxwright("run", "--dataset", broken, "--output", tmp_path / "out", "--model-id", "tiny")
    assert code == 1
    assert named in error
    [run] = list((tmp_path / "out").iterdir())
    left = {path.relative_to(run / "output").parts[0] for path in run.rglob("*") if path.is_file()}
    assert {"validation_report.json", "validation_report.html"} <= left
    assert left <= {"validation_report.json", "validation_report.html", "great_expectations.json", "data_docs"}


def test_a_folder_that_does_not_exist_is_named(broken, tmp_path, boxwright):
    code, _, error = boxwright("run", "--dataset", tmp_path / "nowhere", "--output", tmp_path / "out")
    assert code == 1
    assert "nowhere" in error


def test_a_bucket_that_does_not_exist_is_named(broken, s3, boxwright):
    code, _, error = boxwright("run", "--dataset", "s3://no-such-bucket/set", "--output", "s3://no-such-bucket/out")
    assert code == 2
    assert "no-such-bucket" in error


def test_wrong_credentials_are_told_and_not_shown(broken, s3, boxwright, monkeypatch):
    s3.make_bucket("closed")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-value")
    code, _, error = boxwright("run", "--dataset", "s3://closed/set", "--output", "s3://closed/out")
    assert code == 2
    assert "closed" in error
    assert "wrong-secret-value" not in error


def test_usage_mistakes_exit_with_2_and_list_what_is_valid(broken, tmp_path, boxwright):
    base = ("run", "--dataset", broken, "--output", tmp_path / "out")
    code, _, error = boxwright(*base, "--set", "learning_rat=1")
    assert (code, "learning_rate" in error) == (2, True)
    code, _, error = boxwright(*base, "--model-id", "gfl-efficientnet-lite-320")
    assert (code, "did you mean gfl-efficientnet-lite0-320?" in error) == (2, True)
    code, _, error = boxwright(*base, "--set", "training_machines=2")
    assert (code, "the Airflow DAG of trainings alone starts the other machines" in error) == (2, True)
    assert not (tmp_path / "out").exists() and not (tmp_path / "home" / "runs").exists()  # nothing to go on with
    code, _, error = boxwright(*base, "--set", "epochs")
    assert (code, "NAME=VALUE" in error) == (2, True)
    code, _, error = boxwright(*base, "--set", "model_id=yolo", "--set", "on_class_change=extend")
    assert (code, "model_id 'yolo' is unknown" in error) == (2, True)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("pandas.core", 2, "(no module pandas): pip install"), ("boxwright.gone", 70, "is a bug")],
)
def test_a_part_that_is_not_installed_is_named(boxwright, monkeypatch, name, code, said):
    def missing():
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(cli, "app", missing)
    ended, _, error = boxwright()
    assert (ended, said in error) == (code, True)


def test_models_are_listed_without_loading_tensorflow():
    script = (
        "import sys; sys.argv = ['boxwright', 'models', '--json']\n"
        "from boxwright.cli import main\n"
        "heavy = {'tensorflow', 'tfx', 'mlflow', 'great_expectations'}\n"
        "try: main()\n"
        "except SystemExit: print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    rows, heavy = done.stdout.strip().splitlines()
    found = {row["model_id"]: row for row in json.loads(rows)}
    assert found["tiny"]["weights"] is None
    default = found[RunConfig.model_fields["model_id"].default]
    assert (default["image_size"], default["weights"]["there"]) == (320, True)
    nano = found["dfine-nano"]
    assert (nano["coco_ap"], nano["weights"]["there"], nano["defaults"]["batch_size"]) == (42.8, False, 4)
    assert heavy == "[]"


def _killed_at(step, *arguments):
    """Starts the command line in a process of its own, and kills it when it says that a step begins."""
    command = [sys.executable, "-m", "boxwright", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if f"step {step}" in line:
                process.kill()
    assert process.returncode == -signal.SIGKILL, "".join(said)
    return "".join(said)


@pytest.mark.parametrize("name", ["set [v2]", "set[/v2]"])
def test_a_folder_with_brackets_is_printed_as_it_is(tmp_path, boxwright, name):
    code, printed, _ = boxwright("sample", tmp_path / name, "--images", "10")
    assert (code, f"{tmp_path / name / 'training'}: " in printed) == (0, True)


def test_sample_then_a_run_that_is_killed_and_resumed_then_lineage(tmp_path, boxwright, monkeypatch):
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code, printed, _ = boxwright("sample", tmp_path / "set", "--images", "12", "--json")
    assert (code, json.loads(printed)["classes"]) == (0, ["bolt", "nut", "washer"])
    quick = (
        "--model-id tiny --model-name cli-made --run-id monday --set epochs=1 --set image_size=64 "
        "--set gate_min_ap50=0 --set gate_classes_told_apart=False --set export_formats=saved_model"
    )
    # The tutorial's command, on a small network.
    places = {"bolts/": f"{tmp_path / 'set'}/", "--output results": f"--output {tmp_path / 'out'}"}
    command = replaced(block("run"), places | {EPOCHS: quick, "--set learning_rate=0.001 --json": ""})
    said = _killed_at("build_examples", *words(command))
    assert "`boxwright run --resume monday`" in said
    # A step that is done is not done again: without the images it could not be.
    shutil.rmtree(tmp_path / "set")
    code, printed, error = boxwright("run", "--resume", "--json")
    assert (code, error) == (0, "")
    result = json.loads(printed.strip().splitlines()[-1])
    assert (result["model_name"], result["version"], result["status"]) == ("cli-made", 1, "registered")
    assert result["run_id"] == "monday"
    code, printed, _ = boxwright("lineage", "models:/cli-made/1")
    assert code == 0
    assert result["dataset_fingerprint"] in printed
    (only,) = json.loads(boxwright("lineage", "models:/cli-made/1", "--json")[1])
    assert (only["run_id"], only["facts"]["dataset"]["fingerprint"]) == ("monday", result["dataset_fingerprint"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "s3://bucket/set"),
        ("validate", "set", "--report", "s3://bucket/report"),
        ("predict", "image.png", "--draw", "file:///tmp/drawn"),
        ("convert", "labels", "s3://bucket/set"),
    ],
    ids=" ".join,
)
def test_a_uri_where_only_a_folder_will_do_is_refused(arguments, boxwright, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = boxwright(*arguments)
    assert code == 2 and "expected a path of this machine" in error
    assert list(tmp_path.iterdir()) == []


def test_a_report_may_go_to_a_relative_folder(broken, boxwright, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = boxwright("validate", broken, "--report", "my report")
    assert (code, error) == (0, "")
    assert (tmp_path / "my report" / "validation_report.html").is_file()


def test_the_version_is_that_of_the_package(boxwright):
    import boxwright as package

    assert boxwright("--version")[:2] == (0, f"boxwright {package.__version__}\n")
