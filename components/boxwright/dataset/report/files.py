"""Name of the page, for those who only point at it."""

PAGE_FILE = "validation_report.html"
