"""Theory: claims about stochastic gradient push as files, each with its hypotheses and its two sides, and verdicts on
them.

The rule: a claim never imports an algorithm or a backend. Its matrix forms are derived apart, from the matrices of
the rounds, so that agreement with a run is evidence. Only the cases, the controls and the command line put runs and
claims side by side.
"""
