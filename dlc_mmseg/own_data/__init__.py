"""Two data sets of one's own: what they hold, seen from their files, and the config that fits them."""
