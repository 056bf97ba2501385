# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own code for a unit that outlives the module that starts it.

A module comes to a hypervisor as an archive that is gone when the module ends. The unit gets a copy of it, which it
removes as soon as it has read it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

_LAUNCHER = (
    "import importlib, os, sys; sys.path.insert(0, sys.argv[1]); module = importlib.import_module(sys.argv[2]); "
    "sys.argv[1].endswith('.zip') and os.unlink(sys.argv[1]); sys.exit(module.main(sys.argv[3:]))"
)


def argv(directory: Path, module: str, words: Sequence[str]) -> tuple[str, ...]:
    """The command that calls C(main(words)) of our *module*, given by its full name; its code waits in *directory*.

    The module has to be imported here already, and to import everything it needs when it is imported itself.
    """
    return (sys.executable, "-c", _LAUNCHER, _code(directory, module), module, *words)


def _code(directory: Path, module: str) -> str:
    """Where Python finds the collection: a copy of the archive, or the tree it is in."""
    archive = getattr(sys.modules[module].__loader__, "archive", None)
    if archive is None:
        depth = module.count(".")
        return str(Path(str(sys.modules[module].__file__)).parents[depth])
    kept = directory / f"{module.rpartition('.')[2]}.zip"
    shutil.copyfile(archive, kept)
    return str(kept)
