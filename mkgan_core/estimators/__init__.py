"""Estimators: image and region -> blur kernel."""
