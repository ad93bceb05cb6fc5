"""The truth about a machine: frozen facts, the probes that read them, the checks over them."""
