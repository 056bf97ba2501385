"""Stands in for the pip bootstrap script that ansible-test would download: uses the pip that Python itself carries."""

from __future__ import annotations

import ensurepip
import runpy
import sys
import sysconfig
from pathlib import Path

# Debian keeps the wheel outside ensurepip and says where.
places = [
    Path(ensurepip.__file__).parent / "_bundled",
    Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/nonexistent"),
]
wheel = next(wheel for place in places for wheel in place.glob("pip-*.whl"))
sys.path.insert(0, str(wheel))
sys.argv = ["pip", "install", *(word for word in sys.argv[1:] if word not in {"--no-setuptools", "--no-wheel"})]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
