"""A named run in a work directory: session, records, pictures, processes, and what was learnt."""
