"""The commands: each parses, calls one function, prints, and sets the exit status."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from dropout_lab.cli.app import main as run  # takes long enough to be interrupted

        run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201
        sys.exit(130)
