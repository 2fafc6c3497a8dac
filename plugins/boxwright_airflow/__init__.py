"""Boxwright's steps as Airflow tasks, and its settings as Airflow's trigger form."""
