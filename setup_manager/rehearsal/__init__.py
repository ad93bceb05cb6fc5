"""A loopback hub with a bad line, and a tiny real model: the whole job without the internet."""
