"""NumPy's names of types put off until somebody needs them: they are a fifth of its import, and tell a checker alone.

In their places stand modules that know NDArray, the one name that NumPy itself and this program import when they start.
Who asks for another one, a transport of others for instance, gets NumPy's own modules, and pays for them then.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["put_off_types"]

_PUT_OFF = ("numpy._typing", "numpy.typing")


def put_off_types() -> None:
    """Call before NumPy is imported; afterwards it saves nothing, and harms nothing."""
    sys.meta_path.insert(0, _StandIns())


class _StandIns:
    """Finder and loader of them: found like any module, they are attributes of NumPy and have a specification, too."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        # a loader by what it can do: to import `importlib.abc` takes longer than this saves
        return ModuleSpec(name, self) if name in _PUT_OFF else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary one."""

    def exec_module(self, module: ModuleType) -> None:
        def named(name: str) -> Any:
            if name == "NDArray":  # what it is an alias of, less the number of dimensions
                return sys.modules["numpy"].ndarray
            if name.startswith("__") and name != "__all__":  # a question of the importer's, as for __path__
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return getattr(self._own(module.__name__), name)

        module.__getattr__ = named  # type: ignore[method-assign]

    def _own(self, name: str) -> ModuleType:
        """NumPy's module of this name, which takes the place of its stand-in."""
        from importlib import import_module

        if self in sys.meta_path:
            sys.meta_path.remove(self)
            for put_off in _PUT_OFF:
                sys.modules.pop(put_off, None)
        return import_module(name)
