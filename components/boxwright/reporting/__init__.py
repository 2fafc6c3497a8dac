"""What every HTML report is made of: pages, tables, charts."""
