"""Losses registered for any MMSegmentation config."""
