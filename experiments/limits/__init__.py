"""When hindsight imitation cannot work: three measurements on tiny tasks, the source of docs/limits.md."""
