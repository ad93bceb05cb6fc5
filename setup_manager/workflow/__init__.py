"""What each command does, and the order of the whole job; no text, no terminal."""
