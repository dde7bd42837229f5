"""A stand-in for SGLang: the names and shapes of what the hook touches, as SGLang documents them."""
__version__ = "stand-in"
