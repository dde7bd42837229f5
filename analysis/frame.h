/* The runs of a scenario, or of a database, as points: an identity, and a value for each swept
 * key. What expectations, tables and figures select and group runs by.
 *
 * Values are canonical texts, equal exactly when they are the same pointer within one frame. */
#ifndef MOE_ANALYSIS_FRAME_H
#define MOE_ANALYSIS_FRAME_H

#include "sim/base/base.h"

#include <glib.h>

typedef struct moe_frame moe_frame;

moe_frame *moe_frame_new(void);
void moe_frame_free(moe_frame *frame);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_frame, moe_frame_free)

/* Appends a point; texts are copied. Keys appear in the order of their first use. */
void moe_frame_add(moe_frame *frame, const char *identity, const char *const *keys,
                   const char *const *values, size_t n);
/* Sets one more key of the last point. */
void moe_frame_set(moe_frame *frame, const char *key, const char *value);

size_t moe_frame_points(const moe_frame *frame);
const char *moe_frame_identity(const moe_frame *frame, size_t point);
size_t moe_frame_keys(const moe_frame *frame);
const char *moe_frame_key(const moe_frame *frame, size_t key);
/* The index of a key; SIZE_MAX: no point has it. */
size_t moe_frame_find(const moe_frame *frame, const char *key);
/* NULL: this point does not have the key. */
const char *moe_frame_value(const moe_frame *frame, size_t point, size_t key);
/* Distinct values of a key in the order of their first use; borrowed pointers, array yours. */
GPtrArray *moe_frame_values(const moe_frame *frame, size_t key);
/* Whether points that agree on the n keys `by` always agree on `key`: zipped keys do. */
bool moe_frame_determined(const moe_frame *frame, size_t key, const size_t *by, size_t n);
/* Keys that have more than one value and are not among, nor determined by, the n keys `by`;
 * indices in an array of size_t, yours. */
GArray *moe_frame_others(const moe_frame *frame, const size_t *by, size_t n);
/* The point's values of the n keys as one text for grouping; yours. */
char *moe_frame_group(const moe_frame *frame, size_t point, const size_t *keys, size_t n);

/* Some points: those that have these values. */
typedef struct moe_selector {
    GArray *keys;      /* size_t */
    GPtrArray *values; /* texts, owned */
} moe_selector;

void moe_selector_init(moe_selector *selector);
void moe_selector_clear(moe_selector *selector);
void moe_selector_add(moe_selector *selector, size_t key, const char *value);
/* Every key has one of the values given for it. */
bool moe_selector_match(const moe_selector *selector, const moe_frame *frame, size_t point);
/* Whether exactly one value is asked of `key`. */
bool moe_selector_fixes(const moe_selector *selector, size_t key);
/* "key=value key=value|value"; yours. */
char *moe_selector_text(const moe_selector *selector, const moe_frame *frame);

#endif
