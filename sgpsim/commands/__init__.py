"""The commands of `sgpsim`, one module each.

The rule: a module `name` holds `main`, whose signature is the command line of `sgpsim name`, whose docstring is its
help, and whose value is the exit code. Modules import nothing slow at their top, so that `sgpsim --help` is quick.
"""
