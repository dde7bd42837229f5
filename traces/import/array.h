/* Typed arrays in somebody's bytes: what an npy file, a member of an npz and a tensor of a
 * safetensors file have in common. Nothing is copied; strides make Fortran order and either order
 * of axes the same as C order, and numbers are turned to the machine's byte order when read. */
#ifndef MOE_TRACES_IMPORT_ARRAY_H
#define MOE_TRACES_IMPORT_ARRAY_H

#include "traces/safetensors.h"

#define MOE_ARRAY_MAX_RANK MOE_TENSOR_MAX_RANK

typedef enum moe_array_type {
    MOE_ARRAY_U8,
    MOE_ARRAY_I8,
    MOE_ARRAY_U16,
    MOE_ARRAY_I16,
    MOE_ARRAY_U32,
    MOE_ARRAY_I32,
    MOE_ARRAY_U64,
    MOE_ARRAY_I64,
    MOE_ARRAY_F16,
    MOE_ARRAY_BF16,
    MOE_ARRAY_F32,
    MOE_ARRAY_F64,
    MOE_ARRAY_TYPES, /* how many there are */
} moe_array_type;

typedef struct moe_array {
    const char *name; /* of the member or tensor; "" for a whole file */
    const uint8_t *data;
    moe_array_type type;
    bool swapped; /* big-endian */
    uint32_t rank;
    uint64_t shape[MOE_ARRAY_MAX_RANK];
    int64_t stride[MOE_ARRAY_MAX_RANK]; /* in bytes */
} moe_array;

const char *moe_array_type_name(moe_array_type type); /* "int16" */
uint32_t moe_array_type_bytes(moe_array_type type);
static inline bool
moe_array_is_whole(const moe_array *a)
{
    return a->type <= MOE_ARRAY_I64;
}
/* "int16 [512, 24, 8]"; yours to free. */
char *moe_array_text(const moe_array *array);

/* Sets the strides of an array without gaps; false when it would have more bytes than `n_bytes`
 * or 2^63. *bytes (may be NULL) is what it takes. */
bool moe_array_pack(moe_array *array, bool fortran, uint64_t n_bytes, uint64_t *bytes);
/* The array of a tensor; false when its type is none of ours (sub-byte, complex). */
bool moe_array_of_tensor(moe_array *array, const moe_tensor *tensor);
/* out = array[…, index at `axis`, …], one rank less; index < shape[axis]. */
void moe_array_at(const moe_array *array, uint32_t axis, uint64_t index, moe_array *out);
/* The first `n` elements along the first axis, from `first` on. */
void moe_array_slice(moe_array *array, uint64_t first, uint64_t n);

/* Row `row` of an array of rank 2 (or the whole of one of rank 1, row 0), converted. Whole numbers
 * beyond int32 become INT32_MAX or INT32_MIN; `ints` is for whole numbers only. */
void moe_array_ints(const moe_array *array, uint64_t row, int32_t *out);
void moe_array_reals(const moe_array *array, uint64_t row, float *out);
/* Element `i` of an array of rank 1 of whole numbers; beyond int64: INT64_MAX. */
int64_t moe_array_whole(const moe_array *array, uint64_t i);

#endif
