"""Detections on files, folders and prefixes."""
