"""The machines that mkgan runs on: the Prefect server, `mkgan serve`, `deploy` and `doctor`. Imports no flow."""
