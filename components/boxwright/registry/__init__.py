"""Registered models: versions, aliases, the parents of runs, and which finished run can be used again."""
