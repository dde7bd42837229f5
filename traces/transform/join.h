/* Several traces as one: their tokens one file after another, sequences numbered anew. */
#ifndef MOE_TRACES_TRANSFORM_JOIN_H
#define MOE_TRACES_TRANSFORM_JOIN_H

#include "traces/routing.h"

/* The traces must be of one model: the same layers and experts, and no two names of models;
 * messages otherwise, and NULL. k is the largest, shorter rows are padded. Steps are counted on
 * from file to file. Optional tensors stay when every file has them (look-aheads: the same ones;
 * domains and modalities: by name, or by number where none has names), metadata when all say the
 * same; `report` gets a line about what does not. Tokens keep their pairs. */
moe_routing_builder *moe_transform_join(const moe_routing_file *const *files, size_t n,
                                        GString *report, moe_diag *diag);

#endif
