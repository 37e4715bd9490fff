"""Adapters to the APIs of other packages. Import each module by name: each needs a package of its own."""
