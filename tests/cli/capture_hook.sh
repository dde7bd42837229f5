#!/bin/sh
# The Python hook without transformers: sitecustomize hands over to the next one, a hook that fails is
# one diagnostic, and the routed experts that vLLM and SGLang return are read. The engines are stand-ins
# (tests/hook/engines) with the names and shapes that theirs document; the real ones want a GPU.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
# A library with sanitizers is none for a program without.
python3 -c "import ctypes; ctypes.CDLL('$(dirname "$moesim")/libmoesim_inject.so')" 2>/dev/null || {
    echo "skipped: this Python cannot load libmoesim_inject.so (built with sanitizers?)"
    exit 77
}
unset CUDA_INJECTION64_PATH NVTX_INJECTION64_PATH MOESIM_INJECT_LIB MOESIM_CAPTURE PYTHONPATH
capture() { "$moesim" capture -f "$@"; }

# The program's own sitecustomize runs, and its errors are its own.
mkdir mine empty
echo 'print("mine")' >mine/sitecustomize.py
expect 0 "^mine$" env PYTHONPATH=mine "$moesim" capture -o next -- python3 -c 'print("on")'
grep -qx on said || { cat said; failed=1; }
capture -o none -- python3 -c 'import sys; print(sys.path[1])' >said 2>/dev/null || failed=1
grep -qx "$source/profiler/hook" said || { cat said; failed=1; }
expect 0 "PYTHONPATH=None" capture --engine=none -o none -- \
    python3 -c 'import os; print("PYTHONPATH=%s" % os.environ.get("PYTHONPATH"))'
env PYTHONPATH="$source/profiler/hook" python3 -X importtime -c 'pass' 2>&1 | grep -q moesim_hook &&
    { echo "without MOESIM_CAPTURE the hook is imported"; failed=1; }

# A library that cannot be loaded, an engine that is not as the hook knows it: the program runs on.
mkdir -p odd/transformers
echo 'x = 1' >odd/transformers/__init__.py
echo 'y = 2' >odd/transformers/modeling_utils.py
expect 0 "^2$" env PYTHONPATH=odd "$moesim" capture -f -o odd -- \
    python3 -c 'import transformers.modeling_utils as m; print(m.y)'
grep -q "the engine could not be hooked: transformers.modeling_utils is not as the hook knows it" said ||
    { cat said; failed=1; }
# So is a loader that takes no attributes.
cat >slots.py <<'PYTHON'
import importlib.machinery, importlib.util, sys
class Loader:
    __slots__ = ()
    def create_module(self, spec): return None
    def exec_module(self, module): module.y = 3
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "transformers.modeling_utils":
            return importlib.machinery.ModuleSpec(name, Loader())
sys.meta_path.append(Finder)
sys.meta_path[:] = [f for f in sys.meta_path if f is not Finder][:-1] + [Finder, sys.meta_path[-2]]
import transformers.modeling_utils as m
print(m.y)
PYTHON
expect 0 "^3$" env PYTHONPATH=odd "$moesim" capture -f -o odd -- python3 slots.py
grep -q "transformers.modeling_utils cannot be patched: AttributeError" said || { cat said; failed=1; }
echo 'not a library' >broken.so
expect 0 "^2$" env PYTHONPATH=odd MOESIM_INJECT_LIB=$PWD/broken.so "$moesim" capture -f -o odd -- \
    python3 -c 'import transformers.modeling_utils as m; print(m.y)'
expect 1 "ModuleNotFoundError: No module named 'transformers'" capture -o odd -- python3 -S -c 'import transformers'

# What engines return.
python3 -c 'import numpy' 2>/dev/null || { echo "numpy is not installed: the rest is left out"; exit $failed; }
run() {
    rm -f case.*
    capture -o case "$@" -- python3 -B "$source/tests/hook/engines_run.py" "$case" >out 2>said
}
for case in vllm vllm_apart vllm_zero vllm_nothing vllm_odd vllm_old sglang; do
    [ $case = vllm_old ] && old="--env STANDIN_OLD=1" || old=
    # shellcheck disable=SC2086
    run --trace=route $old || { echo "$case:"; cat out said; failed=1; continue; }
    python3 -B "$source/tests/hook/engines_expected.py" $case case out || { cat said; failed=1; }
done
case=vllm_zero
run --trace=route --strict
[ $? = 3 ] || { echo "--strict with a layer of zeros"; failed=1; }
grep -q "^moesim: error: a layer's routing is all zeros: the engine recorded none: layer 2: no token" said ||
    { cat said; failed=1; }
case=vllm
run --trace=route --strict || { echo "--strict"; cat said; failed=1; }
run --trace=route --engine=hf
[ $? = 1 ] || { echo "--engine=hf switched vLLM on"; failed=1; }
run --trace=route --strict --engine=vllm || { echo "--engine=vllm"; cat said; failed=1; }
exit $failed
