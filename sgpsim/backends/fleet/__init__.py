"""Fleet: an experiment as one array program over all nodes and seeds."""
