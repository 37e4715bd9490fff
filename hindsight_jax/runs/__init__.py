"""A run in a work directory: session, records, summary, curves and video, processes, estimate, and `load`."""
