/* The arrays of one input: an npy file holds one, an npz archive and a safetensors file some, each
 * with a name. Told apart by content. */
#ifndef MOE_TRACES_IMPORT_BUNDLE_H
#define MOE_TRACES_IMPORT_BUNDLE_H

#include "traces/import/array.h"
#include "traces/import/import.h"
#include "traces/import/place.h"

typedef struct moe_bundle moe_bundle;

typedef enum moe_bundle_kind {
    MOE_BUNDLE_NPY,
    MOE_BUNDLE_NPZ,
    MOE_BUNDLE_SAFETENSORS
} moe_bundle_kind;

/* NULL after messages or with the job's error set. */
moe_bundle *moe_bundle_open(const moe_import_job *job, size_t i);
void moe_bundle_close(moe_bundle *bundle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_bundle, moe_bundle_close)

moe_bundle_kind moe_bundle_kind_of(const moe_bundle *bundle);
/* In order of the archive or of the tensors' data; names without ".npy". */
size_t moe_bundle_count(const moe_bundle *bundle);
const moe_array *moe_bundle_at(const moe_bundle *bundle, size_t i);
const moe_array *moe_bundle_find(const moe_bundle *bundle, const char *name);
/* The place of an array, for messages; NULL: the file as a whole. */
moe_place moe_bundle_place(const moe_bundle *bundle, const moe_array *array);
double moe_bundle_bytes(const moe_bundle *bundle);

/* ---- how arrays make layers ---- */

/* The last number in a name ("layers.12.gate": 12); false when it has none. */
bool moe_name_number(const char *name, uint32_t *number);
/* Sorts arrays by the number in their names and gives the numbers, if all have one and no two the
 * same; otherwise the order stays and false is returned. `numbers` has room for n. */
bool moe_order_layers(moe_array *arrays, size_t n, uint32_t *numbers);
/* Which axis of arrays of rank 3 with experts in the last counts layers, 0 or 1: what the user or
 * the model says; the axis along which the arrays of a job agree when the other differs; else by
 * overlap, as neighbouring tokens share experts and neighbouring layers do so only by chance. The
 * report says how it was decided when nothing but the overlap did. False after a message. */
bool moe_layer_axis(const moe_import_job *job, const moe_array *const *arrays, size_t n,
                    const moe_place *place, uint32_t *axis);

#endif
