/* Attention as measured tables have it, shared by the files of its predictions. Private to them. */
#ifndef MOE_PROFILER_PREDICT_HEADS_H
#define MOE_PROFILER_PREDICT_HEADS_H

#include "hw/cost_attention.h"
#include "profiler/predict.h"

/* How a row's heads look to the kernel. */
typedef struct moe_predict_heads {
    double query, kv; /* of a sequence */
    double key_dim, value_dim;
    double elements; /* of a key with its value in the cache */
    int form;
} moe_predict_heads;

/* The kernel itself, of heads that look so. */
moe_cost moe_predict_attend(const moe_candidate *candidate, const moe_device *device,
                            const moe_measured_row *row, const moe_predict_heads *heads);
/* The indexer of sparse attention: all of the cache is scored, whatever is selected then. */
moe_cost moe_predict_scores(const moe_candidate *candidate, const moe_device *device,
                            const moe_measured_row *row);

/* Latent attention's heads: absorbed into the latent, or with keys and values of their own. */
moe_predict_heads moe_predict_latent_heads(const moe_device *device, const moe_measured_row *row);
/* Latent attention with what a framework's table has around the kernel. */
moe_predict_fn moe_predict_latent;

/* A bare kernel was timed, which writes no cache. */
bool moe_predict_is_bare(const moe_measured_row *row);

#endif
