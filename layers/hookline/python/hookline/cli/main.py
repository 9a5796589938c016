"""The command line: `hookline` and `ncloud`."""
