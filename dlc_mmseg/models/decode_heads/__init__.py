"""Decode heads of DAFormer and HRDA."""
