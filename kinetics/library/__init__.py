"""Where the library's models/, fits/ and data/ lie: beside this file in a wheel, at the checkout's root else."""

from pathlib import Path

__all__ = ["ROOT"]

_HERE = Path(__file__).parent
ROOT = _HERE if (_HERE / "models").is_dir() else _HERE.parent.parent
