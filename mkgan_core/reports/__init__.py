"""A run's report: the tables and their schema, statistics, plots, the contact sheet and the page."""
