"""Estimating which classes a trained segmentor confuses on images without labels."""
