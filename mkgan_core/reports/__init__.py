"""The report of a run: tables and their schema, statistics, plots, the contact sheet and the HTML page."""
