"""A client of Airflow's REST API."""
