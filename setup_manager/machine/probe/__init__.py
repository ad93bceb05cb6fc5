"""One module a source; each a thin reader and a pure parser."""
