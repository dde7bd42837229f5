/* What a scenario's keys say, as one struct; sim/machine/config.c holds the table of rows from
 * which parser, help, schema and the README's key reference come. Private to sim/machine. */
#ifndef MOE_MACHINE_CONFIG_H
#define MOE_MACHINE_CONFIG_H

#include "sim/base/param.h"

enum { MOE_RECORDED = -1 }; /* prompt, output: as the trace has it */

typedef enum moe_retention { MOE_RETENTION_CACHE, MOE_RETENTION_NONE } moe_retention;
typedef enum moe_granularity { MOE_GRANULARITY_LAYER, MOE_GRANULARITY_EXPERT } moe_granularity;
typedef enum moe_join { MOE_JOIN_DEMANDED, MOE_JOIN_WANTED } moe_join;
typedef enum moe_prefill_rule { MOE_PREFILL_RECORDED, MOE_PREFILL_FROM_DECODE } moe_prefill_rule;

typedef enum moe_batching { MOE_BATCHING_SLOTS, MOE_BATCHING_AS_CAPTURED } moe_batching;

typedef enum moe_infeasible { MOE_INFEASIBLE_ERROR, MOE_INFEASIBLE_SKIP } moe_infeasible;

enum { /* store */
       MOE_STORE_SUMMARY,
       MOE_STORE_LAYER,
       MOE_STORE_STEP,
       MOE_STORE_REQUEST,
       MOE_STORE_ALL,
       MOE_STORE_TIMELINE,
};

typedef struct moe_cache_config {
    const char *place;
    moe_amount capacity;
    int scope;
    moe_choice evict;
} moe_cache_config;

typedef struct moe_pin_config {
    int64_t layer, expert;
} moe_pin_config;

typedef struct moe_config {
    const char *name, *label, *model, *hardware, *kernels;
    int64_t seed;
    int store, infeasible;
    struct {
        int weights, experts, kv, activations; /* indices in MOE_DTYPES */
    } precision;
    struct {
        const char *trace;
        moe_list transform; /* of moe_choice */
        double profile;     /* share of the sequences whose popularity policies may know */
        struct {
            int64_t sequences, prompt, output; /* sequences 0: not synthetic */
            int64_t experts, top_k, domains, modalities, lookahead;
            double skew, stickiness, affinity, logits, taste, drift, recall;
        } synthetic;
    } routing;
    struct {
        int kind;
        int64_t requests, prompt, output, batch, warmup;
        int prefill;
        int64_t encoder_ps;
    } workload;
    int batching;
    struct {
        int64_t layer_ps, experts_ps, step_ps, gate_ps, prefetch_ps;
        bool pageable, graphs;
    } overhead;
    struct {
        const char *home;
        moe_cache_config cache;
        moe_list pin;     /* of moe_pin_config */
        moe_list staging; /* of moe_cache_config, fast to slow */
        int retention, granularity, join;
        moe_choice predict, prefetch, serve;
    } experts;
    struct {
        int mode; /* moe_energy_mode */
    } energy;
    struct {
        double per_hour, energy_per_kwh; /* 0: unknown, none */
        const char *currency;
    } price;
} moe_config;

/* '|'-separated dtype names, the first being "native". */
#define MOE_DTYPES "native|f32|bf16|fp16|fp8|int8|mxfp4|nvfp4|int4|int3|int2|fp8_block"

extern const moe_param_table moe_config_table;

/* The name of a dtype index, one of moe_dtype_names, and its bits per element; `native` for
 * index 0. */
const char *moe_config_dtype(int dtype, const char *native);
double moe_config_bits(int dtype, double native);

#endif
