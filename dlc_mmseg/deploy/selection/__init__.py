"""Choosing among trained models without labels of the target."""
