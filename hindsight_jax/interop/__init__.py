"""Other packages' APIs, and data sets in files. Import each module by name: some need a package of their own."""
