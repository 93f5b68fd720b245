"""Specifications: values that a file can say, how they are checked, found and written down."""
