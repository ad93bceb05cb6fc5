"""What fits and how fast: pure arithmetic over frozen facts."""
