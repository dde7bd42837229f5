"""How a capture learns what engines route: their modules are patched as they are imported, and tell
libmoesim_inject.so through its C ABI (profiler/inject/moesim_route.h).

Rules that all files here keep: the program's results, output and errors are its own; whatever fails
here is one diagnostic of the capture; nothing of torch, transformers or an engine is imported that
the program did not import itself; what is checked is the shape of things, not their version."""
import os
import sys

ENGINES = {"hf": ["moesim_hook.hf"], "vllm": ["moesim_hook.vllm"], "sglang": ["moesim_hook.sglang"]}
ENGINES["auto"] = [module for modules in list(ENGINES.values()) for module in modules]
# Engine -> what is patched, as soon as it has been imported: module -> function of the file.
PATCHES = {
    "moesim_hook.hf": {"transformers.modeling_utils": "patch_models"},
    "moesim_hook.vllm": {
        "vllm.engine.arg_utils": "patch_arguments",
        "vllm.config": "patch_config",
        "vllm.config.model": "patch_config",
        "vllm.outputs": "patch_outputs",
    },
    "moesim_hook.sglang": {
        "sglang.srt.server_args": "patch_arguments",
        "sglang.srt.managers.io_struct": "patch_requests",
        "sglang.srt.managers.tokenizer_manager": "patch_manager",
    },
}


def install():
    """Watches imports; called once, by sitecustomize."""
    from moesim_hook import imports
    wanted = {}
    for file in ENGINES.get(os.environ.get("MOESIM_ENGINE") or "auto", []):
        for module, function in PATCHES[file].items():
            wanted[module] = (file, function)
    if wanted:
        sys.meta_path.insert(0, imports.Finder(wanted))


def check():
    """Prints what `moesim capture --check` shows of this Python."""
    from importlib import metadata
    from moesim_hook import abi
    found = []
    for package in ("torch", "transformers", "vllm", "sglang"):
        try:
            found.append("%s %s" % (package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            pass
    version = abi.version()
    print("%d.%d.%d loads the hook%s; %s" % (
        *sys.version_info[:3], "" if version else ", but not libmoesim_inject.so",
        ", ".join(found) or "no torch, transformers, vllm or sglang in this one"))
