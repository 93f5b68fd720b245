"""Files: what is read from disk and written to it, and under which name."""
