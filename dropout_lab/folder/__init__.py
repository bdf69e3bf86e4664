"""The results folder of a study on disk, and its checks and repair."""
