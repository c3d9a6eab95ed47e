"""`python -m recallr_litellm.cli`, the same as the `recallr` script."""

from recallr_litellm.cli import app

if __name__ == "__main__":
    app()
