"""Writes the pages and pictures of the documentation that follow from the code: `python -m docs.generator`."""
