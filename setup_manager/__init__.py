"""gemma-setup: get Gemma 4 running on a person's own machine."""

__version__ = "0.1.0"
