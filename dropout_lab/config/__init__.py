"""Read a config from YAML, check it, and list its cells and runs. Needs no torch."""
