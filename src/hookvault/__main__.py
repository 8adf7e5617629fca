"""`python -m hookvault`: the same as the `hookvault` command."""

from hookvault.cli.main import run

if __name__ == "__main__":
    run()
