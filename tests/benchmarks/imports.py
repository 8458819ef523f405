"""What it takes to import the package, against Flower's own module.

cd tests && python -m benchmarks.imports
"""

import subprocess
import sys

from benchmarks.measuring import in_turns, show_table

MODULES = ("flwr.serverapp", "flwr_registry", "flwr_registry.RegistryStrategy")


def importing(module: str) -> None:
    """Import in a fresh process; a name in the package is looked up too."""
    package, _, name = module.rpartition(".")
    statement = f"import {module}"
    if name[:1].isupper():
        statement = f"from {package} import {name}"
    subprocess.run([sys.executable, "-c", statement], check=True)


def main() -> None:
    """Measure and print."""
    works = {"nothing": lambda: importing("sys")}
    works |= {module: lambda m=module: importing(m) for module in MODULES}
    seconds = in_turns(works, repeats=9)
    flower = seconds["flwr.serverapp"] - seconds["nothing"]
    rows = [
        [name, f"{each:.2f}", f"{(each - seconds['nothing']) / flower:.2f}"]
        for name, each in seconds.items()
    ]
    show_table("import", ["import", "s", "÷ flwr.serverapp"], rows)


if __name__ == "__main__":
    main()
