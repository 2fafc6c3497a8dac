"""Boxwright's pages in Airflow's UI: server-rendered, below `/boxwright` of Airflow's own server."""
