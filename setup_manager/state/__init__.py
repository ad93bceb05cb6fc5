"""What this tool remembers between runs: folders, inventory, measurements."""
