"""Beside JaxGCRL: its contrastive RL and our rows on the same tasks and cores, one after the other.

`driver` trains one run in a process of its own, in either library's Python; `compare` runs them and keeps the figures;
`page` makes the section of a page from these.
"""
