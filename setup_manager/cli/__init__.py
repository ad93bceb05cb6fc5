"""The shell: argv in, text or one JSON document out."""
