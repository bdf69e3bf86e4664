"""The names of the files in a study's folder."""

import re

MANIFEST = "manifest.json"
METRICS = "metrics.csv"
RUNS = "runs.csv"
INFERENCE = "inference.csv"
MONTE_CARLO = "monte_carlo.csv"
RELIABILITY = "reliability.csv"
ACTIVATIONS = "activations.csv"
ENSEMBLES = "ensembles.csv"
DIGESTS = "digests.csv"
PLOTS = "plots"
REPORT = "report.html"
REPORT_DATA = "report.json"
TABLES = "tables"
RUN_FOLDERS = "runs"
PLUGINS = "plugins"
LOCK = ".lock"
WRITER = ".writer.json"

# What is written of a run once, when it is trained, in rows of its own.
AT_END = (INFERENCE, MONTE_CARLO, RELIABILITY, ACTIVATIONS)
# To these rows are added when a fleet has ended.
ADDED = (*AT_END, DIGESTS)

RUN_ID = re.compile(r"[0-9a-f]{12}")
SHA256 = re.compile(r"[0-9a-f]{64}")
