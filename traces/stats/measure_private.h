/* What the parts of a measurement share. */
#ifndef MOE_TRACES_STATS_MEASURE_PRIVATE_H
#define MOE_TRACES_STATS_MEASURE_PRIVATE_H

#include "traces/stats/bootstrap.h"
#include "traces/stats/measure.h"

struct measure {
    const moe_pick *pick;           /* all that was asked for */
    const moe_pick *sample;         /* of it, for what needs sequences one by one */
    const moe_bootstrap *bootstrap; /* over the sample's sequences; NULL: not needed */
    const moe_measure_config *config;
    moe_stats *stats;
    moe_measure_progress *progress;
    void *context;
    const char *what;
};

/* A moe_progress whose context is the measure. */
void moe_measure_tell(void *measure, double done, double total);

void moe_measure_tokens(struct measure *m);
void moe_measure_capture(struct measure *m);
void moe_measure_coverage(struct measure *m);
void moe_measure_balance(struct measure *m);
void moe_measure_segments(struct measure *m);
void moe_measure_caches(struct measure *m);

static inline bool
moe_measure_wants(const struct measure *m, moe_statistic_group group)
{
    return m->config->groups >> group & 1;
}

#endif
