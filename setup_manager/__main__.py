"""`python -m setup_manager` is `gemma-setup`."""

from setup_manager.cli import run

if __name__ == "__main__":
    run()
