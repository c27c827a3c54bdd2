"""Subcommands of the console script `dlc-mmseg`."""
