"""Analyze the CSV files of a study: tables, statistics, conclusions and plots."""
