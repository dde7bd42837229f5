/* Inside profiler/arch: the rotary embedding of a config.json.
 *
 * Keys, as transformers 4 writes them: rope_theta, and rope_scaling with type or rope_type; as
 * transformers 5 does: rope_parameters with all of them. Types: default, linear, llama3, yarn,
 * after its modeling_rope_utils.py. */
#ifndef MOE_PROFILER_ARCH_ROPE_H
#define MOE_PROFILER_ARCH_ROPE_H

#include "models/hf_keys.h"
#include "profiler/arch.h"

typedef enum moe_rope_type {
    MOE_ROPE_DEFAULT,
    MOE_ROPE_LINEAR,
    MOE_ROPE_LLAMA3,
    MOE_ROPE_YARN,
    MOE_ROPE_TYPES, /* how many there are */
} moe_rope_type;

typedef struct moe_rope_config {
    moe_rope_type type;
    double theta, factor;
    double original;               /* max_position_embeddings of the first training */
    double beta_fast, beta_slow;   /* yarn: rotations where interpolation starts and ends */
    double low_freq, high_freq;    /* llama3: the same, as shares of `original` */
    double magnitude;              /* attention_factor; 0: from factor and the mscales */
    double mscale, mscale_all_dim; /* 0: absent */
    bool truncate;                 /* yarn: the ramp's ends are whole pairs */
} moe_rope_config;

/* Reads the keys; wrong ones: messages. `theta` stands in for a rope_theta that is absent. */
void moe_rope_read(const moe_hf_reader *r, double theta, double max_context, moe_rope_config *out);
/* Angles of dim / 2 pairs. */
void moe_rope_inverse(const moe_rope_config *config, uint32_t dim, double *inverse);
float moe_rope_magnitude(const moe_rope_config *config);
/* What yarn makes of MLA's score scale (DeepSeek): a factor. */
double moe_rope_score_factor(const moe_rope_config *config);

#endif
