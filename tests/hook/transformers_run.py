"""A program as a user would write it: transformers_run.py FOLDER IDS DECODE decodes greedily behind each
line of ids and prints what it said. It knows nothing of a capture. Exit status 66: this version does
not load the checkpoint."""
import json
import sys

import torch
import transformers


def load(folder):
    config = transformers.AutoConfig.from_pretrained(folder)
    options = {"torch_dtype" if transformers.__version__ < "4.56" else "dtype": torch.float32}
    if getattr(config, "quantization_config", None):
        options["quantization_config"] = transformers.Mxfp4Config(dequantize=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", **options)
    return model.eval()


def main(folder, file, decode):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    try:
        model = load(folder)
    except (ValueError, ImportError, RuntimeError) as problem:
        print(problem, file=sys.stderr)
        sys.exit(66)
    with open(file, encoding="utf-8") as lines:
        prompts = [json.loads(line)["ids"] for line in lines]
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with torch.no_grad():
            said = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                  max_new_tokens=int(decode) + 1, min_new_tokens=int(decode) + 1,
                                  eos_token_id=None, pad_token_id=0)
        print(json.dumps(said[0].tolist()))


main(*sys.argv[1:])
