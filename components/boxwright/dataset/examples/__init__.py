"""TFRecord shards that training reads."""
