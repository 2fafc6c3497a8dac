"""Boxwright: fine-tunes, measures, releases and serves TensorFlow object detectors.

Everything below this package works without Airflow; `plugins` and `dags` put it on a schedule.
"""

__version__ = "0.1.0"
