"""YAML to settings, without importing torch: reading, checking, the grid of a sweep."""
