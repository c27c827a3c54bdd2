"""Checkpoints of the method's authors and of the code it builds on, converted to this package's names."""
