"""The command line. Every command that reads takes ``--json``."""
