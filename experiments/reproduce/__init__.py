"""From work directories to the tables and pictures that documents quote."""
