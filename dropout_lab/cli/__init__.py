"""The commands: each parses, calls one function, prints, and sets the exit status."""

from dropout_lab.cli.app import main

__all__ = ["main"]
