"""hookline beside the servers that people would use else: `make bench-peers`."""
