"""Files on the ground floor: written whole or not at all, and read without running code that they may carry."""
