/* The routing without what was said: vocabulary ids, texts and names in the metadata go, sequences
 * are numbered anew in order of the file. */
#include "traces/transform/row.h"

static bool
anonymise_open(moe_transform_job *job)
{
    job->anonymous = true;
    return true;
}

static bool
anonymise_token(const void *state, const void *config, uint64_t token)
{
    return true;
}

static const moe_transform_ops anonymise_ops = {
    .stage = MOE_TRANSFORM_TOKENS,
    .pairs = MOE_PAIRS_SAME,
    .factual = true,
    .conserves = "Every token keeps its pairs, weights, logits, phase and step.",
    .open = anonymise_open,
    .token = anonymise_token,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_anonymise = {
    .name = "anonymise",
    .help =
        "Drop vocabulary ids and all metadata but what the numbers need; number sequences anew.",
    .ops = &anonymise_ops,
};
