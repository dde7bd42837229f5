/* Safetensors files: a strict reader over a memory map, and a writer of reproducible bytes.
 *
 * A file is hostile until parsed. Checked before anything is handed out: the header's length
 * against the file's (and 100 MiB), the header's JSON (UTF-8, no duplicate keys, whole numbers
 * below 2^64, nothing unknown), the types, shape x type = bytes without overflow, data without
 * overlap, holes or remainder, texts only in the metadata. Format:
 * https://huggingface.co/docs/safetensors (8 bytes little-endian header length, header, data).
 *
 * Everything got from an open file is borrowed until it is closed. Tensor data is aligned to its
 * element only if the writer cared (moe_tensor_aligned tells). A file that is cut short by another
 * program while it is mapped raises SIGBUS, as any mapping does. */
#ifndef MOE_TRACES_SAFETENSORS_H
#define MOE_TRACES_SAFETENSORS_H

#include "sim/base/diag.h"

#define MOE_TENSOR_MAX_RANK 8
#define MOE_SAFETENSORS_MAX_HEADER (100u << 20)

typedef enum moe_tensor_type {
    MOE_TENSOR_BOOL,
    MOE_TENSOR_U8,
    MOE_TENSOR_I8,
    MOE_TENSOR_U16,
    MOE_TENSOR_I16,
    MOE_TENSOR_F16,
    MOE_TENSOR_BF16,
    MOE_TENSOR_U32,
    MOE_TENSOR_I32,
    MOE_TENSOR_F32,
    MOE_TENSOR_U64,
    MOE_TENSOR_I64,
    MOE_TENSOR_F64,
    MOE_TENSOR_C64,
    MOE_TENSOR_F8_E4M3,
    MOE_TENSOR_F8_E5M2,
    MOE_TENSOR_F8_E8M0,
    MOE_TENSOR_F6_E2M3,
    MOE_TENSOR_F6_E3M2,
    MOE_TENSOR_F4,
    MOE_TENSOR_TYPES, /* how many there are */
} moe_tensor_type;

const char *moe_tensor_type_name(moe_tensor_type type); /* as in the file: "BF16" */
unsigned moe_tensor_type_bits(moe_tensor_type type);

typedef struct moe_tensor {
    const char *name;
    moe_tensor_type type;
    uint32_t rank;
    uint64_t shape[MOE_TENSOR_MAX_RANK];
    uint64_t n_elements;
    uint64_t offset, bytes; /* in the data part */
    const void *data;
} moe_tensor;

/* Whether `data` may be read as an array of the element type. */
bool moe_tensor_aligned(const moe_tensor *tensor);
/* "U8 [2048, 32, 2]"; yours to free. */
char *moe_tensor_shape_text(const moe_tensor *tensor);

typedef struct moe_safetensors moe_safetensors;

/* Which file it was that was opened under a path, and how long it was. */
typedef struct moe_file_stamp {
    uint64_t device, inode, bytes;
} moe_file_stamp;

/* Maps and checks `path`. Unreadable: `error`. Wrong content: messages in `diag`, such as
 * "x.safetensors: error: tensor expert_ids: …". NULL in both cases. */
moe_safetensors *moe_safetensors_open(const char *path, moe_diag *diag, GError **error);
/* The same from memory, which must outlive the result; `name` stands for the path. */
moe_safetensors *moe_safetensors_parse(const char *name, const void *bytes, size_t n_bytes,
                                       moe_diag *diag);
void moe_safetensors_close(moe_safetensors *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_safetensors, moe_safetensors_close)

const char *moe_safetensors_path(const moe_safetensors *file);
/* Of the file that is mapped; zeros for bytes from memory. */
const moe_file_stamp *moe_safetensors_stamp(const moe_safetensors *file);
/* Tensors in order of their data. */
size_t moe_safetensors_count(const moe_safetensors *file);
const moe_tensor *moe_safetensors_at(const moe_safetensors *file, size_t i);
const moe_tensor *moe_safetensors_find(const moe_safetensors *file, const char *name);
/* The metadata in order of writing; the value of a key, NULL when absent. */
size_t moe_safetensors_meta_count(const moe_safetensors *file);
const char *moe_safetensors_meta_at(const moe_safetensors *file, size_t i, const char **value);
const char *moe_safetensors_meta(const moe_safetensors *file, const char *key);
/* Whether the metadata says that the file is of a format and version of ours; else a message that
 * it is no `what` ("routing trace"). */
bool moe_safetensors_expect(const moe_safetensors *file, const char *format, const char *version,
                            const char *what, moe_diag *diag);

typedef struct moe_meta {
    const char *key, *value;
} moe_meta;

/* Writes `path`: to a temporary name in the same folder, synced, then renamed; on failure nothing
 * is left behind. A path that exists and is no regular file (a pipe, a device) is written in
 * place. Only name, type, rank, shape and data of the tensors are read. The bytes depend on the
 * arguments alone: metadata sorted by key, tensors by falling element size, then name; the header
 * is padded to 8 bytes, so that every tensor is aligned. */
bool moe_safetensors_write(const char *path, const moe_tensor *tensors, size_t n_tensors,
                           const moe_meta *meta, size_t n_meta, GError **error);
/* The same with the data from a multiple of `align` on, a multiple of 8. */
bool moe_safetensors_write_aligned(const char *path, const moe_tensor *tensors, size_t n_tensors,
                                   const moe_meta *meta, size_t n_meta, uint64_t align,
                                   GError **error);

#endif
