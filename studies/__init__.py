"""Studies: questions about stochastic gradient push, each answered by a figure, a table and one sentence.

The rule: one question, one file. A study is a class that derives from Study; its file's name is its name, and it is
found because it lies here. `python -m studies --list` tells the questions, `python -m studies NAME` answers one.
"""
