"""What this repository does with the library: runs, benchmarks, checks of the theory, and the documents' results."""
