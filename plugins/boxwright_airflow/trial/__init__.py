"""Trying a registered model out on an image, in Airflow's UI."""
