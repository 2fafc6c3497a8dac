"""`python -m boxwright`, the same as the command `boxwright`."""

from boxwright.cli.main import main

main()
