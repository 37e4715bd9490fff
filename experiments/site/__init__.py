"""What the documentation site has beside the pages of docs: the reference, files from outside, and a picture.

`mkdocs build --strict` builds it, by mkdocs.yml.
"""
