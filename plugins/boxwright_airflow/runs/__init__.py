"""The page of one run: what it is doing while it does it, and then what it found."""
