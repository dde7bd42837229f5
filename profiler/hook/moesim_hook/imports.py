"""Patches modules when they have been imported."""
import importlib
import importlib.util

from moesim_hook import abi


class Finder:
    """First in sys.meta_path: lets the others find a module, and adds the patch to its loader."""

    def __init__(self, wanted):
        self.wanted = wanted  # module -> (file of the hook, function)
        self.busy = set()

    def find_spec(self, name, path=None, target=None):
        if name not in self.wanted or name in self.busy:
            return None
        self.busy.add(name)
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return None  # the import that follows says it
        finally:
            self.busy.discard(name)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            with abi.telling("%s cannot be patched" % name):
                self.extend(spec.loader, name, *self.wanted[name])
        return spec

    @staticmethod
    def extend(loader, name, file, function):
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            if module.__name__ != name:  # of a loader that loads several
                return
            with abi.telling("%s is not as the hook knows it" % module.__name__):
                getattr(importlib.import_module(file), function)(module)

        loader.exec_module = exec_module
