/* Checkpoints of random weights from the recipes in tests/numerics/models (see models.md). */
#ifndef MOE_TESTS_RECIPE_H
#define MOE_TESTS_RECIPE_H

#include "sim/base/base.h"

#include <glib.h>

/* Names of all recipes, sorted; yours (g_strfreev). */
char **recipe_names(void);
/* Writes config.json and the weights of recipe `name` to `folder`, which exists. */
bool recipe_write(const char *name, const char *folder, GError **error);
/* Removes what recipe_write made, and the folder. */
void recipe_remove(const char *folder);

#endif
