"""From the CSV files to tables and pictures."""
