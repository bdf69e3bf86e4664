"""Write the report of a study as an HTML page, CSV, Markdown and LaTeX."""
