"""Raw remote-sensing data to tiles."""
