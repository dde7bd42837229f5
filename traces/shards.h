/* Tensors split by rows over several safetensors files, with an index, in the form in which Hugging
 * Face shards checkpoints:
 *
 *     x.safetensors.index.json
 *     {"metadata": {"total_size": 960}, "weight_map": {
 *         "expert_ids[0:40]": "x-00001-of-00002.safetensors", …
 *         "expert_ids[40:60]": "x-00002-of-00002.safetensors", … }}
 *
 * Both also hold a "write_id", a hash of all that was written: shards of another write are refused.
 * A key is a tensor and the rows (of dimension 0) that the shard holds. All tensors of a shard hold
 * the same rows, all shards the same tensors and the same metadata: each is a whole trace of its
 * own tokens. A tensor that is not of tokens is whole in the first shard, its key without rows.
 * Shards of any writer can be joined. Those written here hold a multiple of 64 Ki rows (4 Ki when
 * they are small), but the last, and start their data at a multiple of that: each tensor then is a
 * whole number of pages, and the shards are mapped one behind another into one range of addresses,
 * so that whoever reads the tensor sees one flat array and nothing is copied. What is not aligned
 * so, as the last shard, is copied into its place. */
#ifndef MOE_TRACES_SHARDS_H
#define MOE_TRACES_SHARDS_H

#include "traces/safetensors.h"

#define MOE_SHARDS_SUFFIX ".index.json" /* behind the name that one file would have */
#define MOE_SHARDS_WRITE_ID "write_id"  /* metadata of the index and of each shard */

/* By its name. */
bool moe_shards_is_index(const char *path);
/* All shards as one file. Unreadable: `error`. Wrong content, a missing shard, shards that
 * disagree, overlap or leave a hole: messages in `diag`. NULL in both cases. */
moe_safetensors *moe_shards_open(const char *path, moe_diag *diag, GError **error);
/* The paths of the shards that an index names; NULL when it is none that can be read. Yours. */
GPtrArray *moe_shards_paths(const char *path);
/* The SHA-256 of a file; of an index, over it and its shards. NULL with `error` set; yours. */
char *moe_shards_hash(const char *path, GError **error);

/* Writes shards of at most `shard_bytes` of data (at least one row each) beside `path`
 * (x.safetensors: x-00001-of-00002.safetensors, …) and the index, in the place of what trace was
 * there under that name, in shards or in one file. The first n_tensors have the same first
 * dimension; n_whole behind them go to the first shard as they are. Until
 * all files are complete they lie in a temporary folder and the older trace stays whole; on failure
 * nothing new is left behind, and a process killed while they get their names leaves no index. */
bool moe_shards_write(const char *path, const moe_tensor *tensors, size_t n_tensors, size_t n_whole,
                      const moe_meta *meta, size_t n_meta, uint64_t shard_bytes, uint32_t *n_shards,
                      GError **error);
/* Removes the index that stands beside `path` and the shards written with it, for a trace that is
 * now in one file. */
void moe_shards_remove(const char *path);

#endif
