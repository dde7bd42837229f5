/* Inside profiler/weights: the files of a checkpoint folder, and which tensor is where.
 *
 * One file (model.safetensors), or shards with an index (model.safetensors.index.json): metadata
 * that nobody reads, and weight_map, tensor -> file beside the index. Hostile until parsed. */
#ifndef MOE_PROFILER_WEIGHTS_FILES_H
#define MOE_PROFILER_WEIGHTS_FILES_H

#include "traces/safetensors.h"

typedef struct weights_files weights_files;

/* Maps all files. NULL with `error` set, or without when there is nothing to look at. Wrong files
 * and absent shards are messages in `diag`; what remains can still be looked at, so that all errors
 * come at once. */
weights_files *moe_weights_files_open(const char *folder, moe_diag *diag, GError **error);
void moe_weights_files_close(weights_files *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(weights_files, moe_weights_files_close)

/* What to blame for a tensor that is nowhere: the index, or the only file. */
const char *moe_weights_files_main(const weights_files *files);

typedef enum weights_found {
    WEIGHTS_FOUND,
    WEIGHTS_NOWHERE,
    WEIGHTS_LOST, /* in a shard about which there is a message already */
} weights_found;

/* FOUND: *tensor and the path of its file. */
weights_found moe_weights_files_find(const weights_files *files, const char *name,
                                     const moe_tensor **tensor, const char **path);
/* The number of the file that `data` is mapped from, and its offset there. */
uint32_t moe_weights_files_locate(const weights_files *files, const void *data, uint64_t *offset);
const char *moe_weights_files_path(const weights_files *files, uint32_t number);
const moe_file_stamp *moe_weights_files_stamp(const weights_files *files, uint32_t number);
/* Adds copies of the paths of all files, the index included. */
void moe_weights_files_list(const weights_files *files, GPtrArray *paths);

#endif
