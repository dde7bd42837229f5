"""models.py FOLDER: the checkpoints of tests/numerics/models, each with its prompts as ids.jsonl."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "numerics"))
import transformers  # noqa: E402

import golden  # noqa: E402
import recipe  # noqa: E402


def older(config):
    """The config as 4.x reads it: its rope and Qwen3's experts in keys of its own."""
    if config["model_type"] == "qwen3_moe" and "num_local_experts" in config:
        config["num_experts"] = config.pop("num_local_experts")
    rope = config.pop("rope_parameters", {})
    if "rope_theta" in rope:
        config["rope_theta"] = rope.pop("rope_theta")
    if rope.get("rope_type", "default") != "default":
        config["rope_scaling"] = rope


for name in recipe.names():
    model, folder = recipe.Recipe(name), os.path.join(sys.argv[1], name)
    if transformers.__version__ < "5":
        older(model.config)
    os.makedirs(folder)
    golden.write_folder(model, folder)
    with open(os.path.join(folder, "ids.jsonl"), "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"ids": ids}) + "\n" for ids in model.prompts())
