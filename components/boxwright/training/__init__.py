"""Input pipeline and fine-tuning."""
