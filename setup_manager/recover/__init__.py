"""Leftovers of other tools: finding them, and which of their bytes can be trusted."""
