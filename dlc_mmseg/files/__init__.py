"""Reading and writing files: written whole or not at all, read without running code that they may carry."""
