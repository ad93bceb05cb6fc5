"""What exists: the Gemma 4 variants, their architecture and their files."""
