"""Makes the documents' tables and pictures from work directories."""
