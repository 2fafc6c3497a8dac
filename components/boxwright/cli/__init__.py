"""The command line, `boxwright`: a module a group of commands."""
