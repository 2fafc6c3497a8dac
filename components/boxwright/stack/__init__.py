"""The local stack: S3, MLflow and Airflow as processes of this machine, and the demo that uses them."""
