"""Loaded by every Python that `moesim capture` starts, for its folder comes first in PYTHONPATH. Hooks
the engines that are imported later, then hands over to the sitecustomize that would have been loaded.
Nothing happens unless MOESIM_CAPTURE is set, and no failure reaches the program."""
import os
import sys


def _install():
    try:
        import moesim_hook
        moesim_hook.install()
    except Exception:  # pylint: disable=broad-except
        pass  # moesim_hook tells what it can; the program must run


def _next():
    """The sitecustomize behind this one, if there is one; its errors are its own."""
    import importlib.machinery
    import importlib.util
    here = os.path.realpath(os.path.dirname(__file__))
    path = [p for p in sys.path if os.path.realpath(p or os.getcwd()) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


if os.environ.get("MOESIM_CAPTURE"):
    _install()
_next()
