"""Networks, losses and the adaptation segmentors."""
