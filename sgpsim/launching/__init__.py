"""Launching: real processes started, watched, and what they leave made into runs."""
