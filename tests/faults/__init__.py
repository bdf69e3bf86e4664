"""Faults a study has to survive: each by its number, see FAULTS.md."""
