"""Rasters of any size to tiles: cut, resampled, labels brought onto the pixels of the images."""
