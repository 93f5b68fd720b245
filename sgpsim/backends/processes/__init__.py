"""Processes: an experiment on real processes that talk through gloo."""
