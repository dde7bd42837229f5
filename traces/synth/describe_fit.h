/* From a trace to the text of a description (traces/synth/description.h). */
#ifndef MOE_TRACES_DESCRIBE_FIT_H
#define MOE_TRACES_DESCRIBE_FIT_H

#include "traces/synth/fit.h"

/* Appends the description to `out`; false after messages. */
bool moe_describe_fit(const moe_pick *pick, const moe_fit_config *config, moe_progress *progress,
                      void *context, moe_diag *diag, GString *out);

#endif
