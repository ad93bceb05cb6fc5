"""Reading GGUF headers, bounded and without trusting them."""
