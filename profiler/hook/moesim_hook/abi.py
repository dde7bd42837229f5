"""libmoesim_inject.so, through ctypes. No call here raises."""
import contextlib
import ctypes
import json
import os
import threading

INFO, WARN, ERROR = 0, 1, 2
_INT, _LONG, _TEXT, _POINTER = ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p, ctypes.c_void_p
_FUNCTIONS = {
    "moesim_abi_version": [],
    "moesim_model": [_TEXT],
    "moesim_step_begin": [_LONG, ctypes.c_int, ctypes.c_int, ctypes.c_int],
    "moesim_step_end": [_LONG],
    "moesim_tokens": [_LONG, _LONG, _INT, _POINTER, _POINTER, _POINTER],
    "moesim_route": [_INT, _LONG, _LONG, _INT, _INT, _POINTER, _POINTER],
    "moesim_range_push": [_INT, _TEXT],
    "moesim_range_pop": [],
    "moesim_diagnostic": [ctypes.c_int, _TEXT, _TEXT],
}
_lock = threading.Lock()
_calls = None  # name -> function; {} when the library cannot be used
_said = set()
_steps = 0


def _load():
    path = os.environ.get("MOESIM_INJECT_LIB")
    calls = {}
    try:
        library = ctypes.CDLL(path) if path else None
        for name, arguments in _FUNCTIONS.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, ctypes.c_int
            calls[name] = function
    except (OSError, AttributeError):
        return {}
    return calls if calls["moesim_abi_version"]() == 1 else {}


def _call(name, *arguments):
    """What the function returns; None where the library cannot be used."""
    global _calls
    if _calls is None:
        with _lock:
            if _calls is None:
                _calls = _load()
    function = _calls.get(name)
    return function(*arguments) if function else None


def version():
    """Of the ABI; None where it cannot be used."""
    return _call("moesim_abi_version")


def diagnose(severity, code, text):
    """Once for each text."""
    if (code, text) not in _said:
        _said.add((code, text))
        _call("moesim_diagnostic", severity, code.encode(), text.encode("utf-8", "replace"))


@contextlib.contextmanager
def telling(what):
    """Whatever is raised inside is a diagnostic."""
    try:
        yield
    except Exception as problem:  # pylint: disable=broad-except
        failed(what, problem)


def failed(what, problem):
    diagnose(WARN, "hook_failed", "%s: %s: %s" % (what, type(problem).__name__, problem))


def model(facts):
    _call("moesim_model", json.dumps({k: v for k, v in facts.items() if v is not None}).encode())


def next_step():
    """Steps are numbered by process, whoever makes them."""
    global _steps
    with _lock:
        _steps += 1
        return _steps - 1


def step_begin(step, phase, tokens, sequences):
    _call("moesim_step_begin", step, phase, tokens, sequences)


def step_end(step):
    _call("moesim_step_end", step)


def tokens(step, n, sequence, position, token):
    """Addresses of int32 [n]; None: unknown."""
    _call("moesim_tokens", step, 0, n, sequence, position, token)


def route(layer, step, n, k, ids, weights):
    """Addresses of int32 and float32 [n, k]; weights may be None."""
    _call("moesim_route", layer, step, 0, n, k, ids, weights)


def range_push(layer, stage):
    _call("moesim_range_push", layer, stage.encode())


def range_pop():
    _call("moesim_range_pop")
