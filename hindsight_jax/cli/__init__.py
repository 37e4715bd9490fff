"""The command line: from arguments to a validated run."""
