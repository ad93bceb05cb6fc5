"""One module a verb of the command line: what it is asked, what it plans, what it did."""
