"""Arrays on disk that come back bit for bit, or are refused."""
