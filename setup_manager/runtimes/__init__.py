"""The programs that run a model: finding, registering, starting them."""
