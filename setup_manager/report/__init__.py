"""The report: what is known of a machine and its model, as one page that opens from disk."""
