/* Descriptions of routing: what `moesim trace synth` makes a trace from, as YAML, written by hand
 * or by `moesim trace fit`. Keys: moe_generate_table(). */
#ifndef MOE_TRACES_DESCRIPTION_H
#define MOE_TRACES_DESCRIPTION_H

#include "traces/generate.h"

typedef struct moe_description moe_description;

/* Unreadable: `error`. Wrong content: located messages. NULL after either. */
moe_description *moe_description_load(const char *path, moe_diag *diag, GError **error);
/* The same from bytes in memory; `name` stands for the path. */
moe_description *moe_description_parse(const char *name, const char *text, size_t length,
                                       moe_diag *diag);
void moe_description_free(moe_description *description);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_description, moe_description_free)

/* Borrowed, and may be changed where no size depends on it: sequences, prompt, output, longer.
 * (Drawn loadings and orders follow the seed of the description.) */
moe_generate_config *moe_description_config(moe_description *description);

/* Appends a description with the hidden state `config->hidden`, which is rounded to hundredths;
 * `comment` (lines without '#') goes to its top. */
void moe_description_write(const moe_generate_config *config, const char *comment, GString *out);

#endif
