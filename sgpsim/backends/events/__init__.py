"""Events: an experiment on SimPy's clock, node by node."""
