"""`python -m boxwright`, the same as the command `boxwright`."""

from boxwright.cli import main

main()
