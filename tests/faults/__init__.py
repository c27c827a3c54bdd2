"""Kinds of bad input: how each is injected into a valid pair of domains, and what the user must be told."""

from faults import files, images, labels, model, run, sampling
from faults.injecting import FAULTS

__all__ = ['FAULTS', 'files', 'images', 'labels', 'model', 'run', 'sampling']
