"""models.py FOLDER: the checkpoints of tests/numerics/models, each with its prompts as ids.jsonl."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "numerics"))
import transformers  # noqa: E402

import golden  # noqa: E402
import recipe  # noqa: E402


def older(config):
    """The config as 4.x reads it: its rope in keys of its own."""
    rope = dict(config.pop("rope_parameters"))
    config["rope_theta"] = rope.pop("rope_theta")
    if rope.get("rope_type", "default") != "default":
        config["rope_scaling"] = rope


for name in recipe.names():
    model, folder = recipe.Recipe(name), os.path.join(sys.argv[1], name)
    if transformers.__version__ < "5" and "rope_parameters" in model.config:
        older(model.config)
    os.makedirs(folder)
    golden.write_folder(model, folder)
    with open(os.path.join(folder, "ids.jsonl"), "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"ids": ids}) + "\n" for ids in model.prompts())
