"""Maps of whole rasters: read and written window by window, georeferenced."""
