"""The report of one or several runs: one HTML file that needs neither a network nor anything beside it."""
