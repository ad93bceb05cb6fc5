"""A real inference, judged and measured."""
