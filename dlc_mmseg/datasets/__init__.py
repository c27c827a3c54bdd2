"""Datasets and sampling of two domains."""
