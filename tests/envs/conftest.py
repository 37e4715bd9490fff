"""Readable failures of the contract that the physics tasks share."""
