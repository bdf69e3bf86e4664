"""The instrument for studying dropout in fully connected networks."""

__version__ = "0.1.0"
