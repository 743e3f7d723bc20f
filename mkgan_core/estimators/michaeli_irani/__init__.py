"""Michaeli & Irani, "Nonparametric Blind Super-resolution", ICCV 2013: the classical estimator (method.md §5)."""
