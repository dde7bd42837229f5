/* Where presets, sample traces and scenarios that ship with moesim are found.
 *
 * Order: $MOESIM_DATA, the source tree the binary was built from, <binary>/../share/moesim. */
#ifndef MOE_BASE_DATA_H
#define MOE_BASE_DATA_H

#include "sim/base/base.h"

#include <glib.h>

/* The path of `folder`/`name`.yaml if it exists ("hw/presets"); yours to free, else NULL. */
char *moe_data_preset(const char *folder, const char *name);
/* What a file is called: "a100" of "x/a100.yaml"; yours. */
char *moe_data_stem(const char *path);
/* Names of all presets in `folder`, sorted, NULL-terminated; yours (g_strfreev). */
char **moe_data_presets(const char *folder);
/* `path` itself if absolute or found from the current folder; else relative to `beside` (the
 * folder of the file that names it); else below the data folder. Yours; NULL if nowhere. */
char *moe_data_find(const char *path, const char *beside);

#endif
