"""``python -m flwr_registry.cli``, where no script is on the path."""

from flwr_registry.__main__ import main

main()
