/* What a range's domain and text say about the model: a stage of a layer, a step, or nothing.
 *
 * Domain "moesim" is ours: text = stage or "step", payload = layer or number of the step, category
 * 100 + phase of a step. Without payloads, and in any domain: "moesim/experts/7", "moesim/embed",
 * "moesim/step/3". Engines that annotate modules by their names in the checkpoint, as in
 * "model.layers.7.mlp.gate" (any text around it), are read by those names; "ProfilerStep#3" is
 * PyTorch's own step. */
#ifndef MOE_PROFILER_PROFILE_STAGES_H
#define MOE_PROFILER_PROFILE_STAGES_H

#include "sim/base/base.h"

#define MOE_PROFILE_DOMAIN "moesim"
enum { MOE_PROFILE_STEP_CATEGORY = 100 }; /* + phase */

typedef struct moe_profile_meaning {
    const char *stage; /* of moe_stage_names; NULL: none */
    bool step;         /* the whole of a step */
    bool odd;          /* of our domain, and neither */
    bool told;         /* `number` is of the text: the layer, or the step's; else the payload is */
    uint32_t number;
} moe_profile_meaning;

/* Both may be NULL, and need no zero at their ends. */
moe_profile_meaning moe_profile_meaning_of(const char *domain, size_t domain_bytes,
                                           const char *text, size_t text_bytes);
/* prefill, decode, both; NULL: another number. */
const char *moe_profile_phase(int64_t phase);

#endif
