"""Results: what came out of an experiment, as values."""
