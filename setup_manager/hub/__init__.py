"""The Hugging Face hub: its metadata and the layout of its cache."""
