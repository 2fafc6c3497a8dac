"""The evaluation report: a page, its charts and its galleries."""
