"""The command line `mkgan`: a module for each group of commands."""
