"""The validation report as a page."""
