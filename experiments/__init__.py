"""What a person runs: the command line, its work directories, and the benchmarks."""
