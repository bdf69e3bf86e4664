"""The results folder of a study: what is in it, and how it changes without losing anything."""
