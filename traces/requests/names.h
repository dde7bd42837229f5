/* Texts (or any bytes) to dense indices 0, 1, 2, … in order of first appearance. */
#ifndef MOE_TRACES_REQUESTS_NAMES_H
#define MOE_TRACES_REQUESTS_NAMES_H

#include "sim/base/base.h"

/* Zero-initialised it is empty. */
typedef struct moe_names {
    char *bytes; /* the names one after another */
    size_t n_bytes, max_bytes;
    size_t *ends; /* [n] */
    uint32_t n, max;
    uint64_t *slots; /* open addressing: half of the hash above the index + 1; 0: empty */
    size_t n_slots;  /* a power of two */
} moe_names;

/* The index of a name, which is `n` before the call when it is new; MOE_NONE: no memory. */
uint32_t moe_names_add(moe_names *names, const void *name, size_t n);
/* Borrowed until the next add. */
const char *moe_names_at(const moe_names *names, uint32_t i, size_t *n);
void moe_names_clear(moe_names *names);

#endif
