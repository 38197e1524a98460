"""Run the command line as `python -m kinetics.cli`."""

from kinetics.cli.main import main

__all__: list[str] = []

main()
