"""Fetching files so that nothing that arrived is lost and nothing wrong is installed."""
