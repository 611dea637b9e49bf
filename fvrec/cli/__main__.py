"""``python -m fvrec.cli``."""

from fvrec.cli import main

main()
