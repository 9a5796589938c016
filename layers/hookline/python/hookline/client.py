"""The typed HTTP client, shared by the command line and by users."""
