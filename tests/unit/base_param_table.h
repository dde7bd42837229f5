/* A parameter table with a row of every type, a list, and choices in each of their spellings, for
 * the tests of parameter tables and for the fuzzer. */
#ifndef MOE_TESTS_UNIT_BASE_PARAM_TABLE_H
#define MOE_TESTS_UNIT_BASE_PARAM_TABLE_H

#include "sim/base/param.h"

typedef struct budget_config {
    int64_t budget;
    double share;
} budget_config;

typedef struct window_config {
    int64_t budget; /* another range than next-layer's */
    const char *label;
    moe_choice inner;
} window_config;

typedef struct small_config {
    double small;
} small_config;

typedef struct given_config {
    double recall;
} given_config;

typedef struct stage {
    const char *place;
    moe_amount capacity;
    moe_choice evict;
    double bandwidth;
} stage;

typedef struct device {
    moe_choice kind; /* the choice of the element's own map */
    int64_t rank;
} device;

typedef struct sample {
    const char *name, *model;
    int64_t seed, batch, requests, prompt;
    int64_t size, latency;
    double rate, flops, power, moved, worked, scale, within;
    bool strict;
    int scope;
    moe_amount capacity;
    moe_choice evict, predict, prefetch, workload;
    moe_list staging, devices;
} sample;

static const moe_param small_rows[] = {
    {.key = "small",
     .type = MOE_PARAM_SHARE,
     .offset = offsetof(small_config, small),
     .fallback = "10%",
     .help = "Share of the small queue."},
};

static const moe_param next_layer_rows[] = {
    {.key = "budget",
     .type = MOE_PARAM_INT,
     .offset = offsetof(budget_config, budget),
     .fallback = "1",
     .min = 1,
     .max = 64,
     .help = "Experts per layer."},
    {.key = "share",
     .type = MOE_PARAM_SHARE,
     .offset = offsetof(budget_config, share),
     .fallback = "50%",
     .help = "Share of the link."},
};

static const moe_param given_rows[] = {
    {.key = "recall",
     .type = MOE_PARAM_SHARE,
     .offset = offsetof(given_config, recall),
     .flags = MOE_PARAM_REQUIRED,
     .help = "Share of the used experts that is predicted."},
};

static const moe_variant variant_none = {.name = "none", .help = "Nothing."};
static const moe_variant variant_lru = {.name = "lru", .help = "The least recently used leaves."};
static const moe_variant variant_lfu = {.name = "lfu", .help = "The least often used leaves."};
static const moe_variant variant_s3fifo = {.name = "s3fifo",
                                           .help = "Three queues.",
                                           .rows = small_rows,
                                           .n_rows = MOE_COUNT(small_rows),
                                           .config_size = sizeof(small_config)};
static const moe_variant variant_next_layer = {.name = "next-layer",
                                               .help = "What the next layer wants.",
                                               .rows = next_layer_rows,
                                               .n_rows = MOE_COUNT(next_layer_rows),
                                               .config_size = sizeof(budget_config)};
static const moe_variant variant_given = {.name = "given",
                                          .help = "Stated quality.",
                                          .rows = given_rows,
                                          .n_rows = MOE_COUNT(given_rows),
                                          .config_size = sizeof(given_config)};

static const moe_variant *const evict_variants[] = {&variant_lru, &variant_lfu, &variant_s3fifo};
static const moe_variant *const predict_variants[] = {&variant_none, &variant_given};

static const moe_param window_rows[] = {
    {.key = "budget",
     .type = MOE_PARAM_INT,
     .offset = offsetof(window_config, budget),
     .fallback = "4",
     .min = 1,
     .max = 8,
     .help = "Experts per window."},
    {.key = "label",
     .type = MOE_PARAM_TEXT,
     .offset = offsetof(window_config, label),
     .help = "A label."},
    {.key = "inner",
     .type = MOE_PARAM_CHOICE,
     .offset = offsetof(window_config, inner),
     .fallback = "lru",
     .variants = evict_variants,
     .n_variants = MOE_COUNT(evict_variants),
     .help = "A choice within a choice."},
};

static const moe_variant variant_window = {.name = "window",
                                           .help = "A window of layers.",
                                           .rows = window_rows,
                                           .n_rows = MOE_COUNT(window_rows),
                                           .config_size = sizeof(window_config)};

static const moe_variant *const prefetch_variants[] = {&variant_none, &variant_next_layer,
                                                       &variant_window};

#define SAMPLE(member) .offset = offsetof(sample, member)
#define STAGE(member) .offset = offsetof(stage, member)
#define CHOICES(list) .variants = list, .n_variants = MOE_COUNT(list)
#define COUNTED (MOE_PARAM_IDENTITY | MOE_PARAM_RECORDED)

/* clang-format off */
static const moe_param sample_rows[] = {
    {"name", MOE_PARAM_TEXT, SAMPLE(name), .help = "What people call it."},
    {"model", MOE_PARAM_TEXT, SAMPLE(model), .flags = MOE_PARAM_REQUIRED | MOE_PARAM_IDENTITY,
     .help = "A preset or a path."},
    {"seed", MOE_PARAM_INT, SAMPLE(seed), "1", .flags = MOE_PARAM_IDENTITY, .help = "Of all streams."},
    {"workload.kind", MOE_PARAM_CHOICE, SAMPLE(workload), "none", CHOICES(predict_variants),
     .flags = MOE_PARAM_IDENTITY, .help = "How requests come."},
    {"workload.batch", MOE_PARAM_INT, SAMPLE(batch), "1", .min = 1, .max = 4096, .unit = "tokens",
     .flags = MOE_PARAM_IDENTITY, .help = "Sequences at once."},
    {"workload.requests", MOE_PARAM_COUNT, SAMPLE(requests), "all", .flags = MOE_PARAM_IDENTITY,
     .help = "How many."},
    {"workload.prompt", MOE_PARAM_COUNT, SAMPLE(prompt), "recorded", .min = 1, .flags = COUNTED,
     .help = "Tokens of a prompt."},
    {"experts.cache.capacity", MOE_PARAM_AMOUNT, SAMPLE(capacity), "25%",
     .flags = MOE_PARAM_IDENTITY, .help = "What experts may fill."},
    {"experts.cache.scope", MOE_PARAM_ENUM, SAMPLE(scope), "layer", .choices = "model|layer",
     .flags = MOE_PARAM_IDENTITY, .help = "One pool per what."},
    {"experts.cache.evict", MOE_PARAM_CHOICE, SAMPLE(evict), "lru", CHOICES(evict_variants),
     .unit = "policy", .flags = MOE_PARAM_IDENTITY, .help = "Who leaves?"},
    {"experts.predict.kind", MOE_PARAM_CHOICE, SAMPLE(predict), "none", CHOICES(predict_variants),
     .flags = MOE_PARAM_IDENTITY, .help = "What will be needed?"},
    {"experts.prefetch.kind", MOE_PARAM_CHOICE, SAMPLE(prefetch), "none",
     CHOICES(prefetch_variants), .unit = "policy", .flags = MOE_PARAM_IDENTITY,
     .help = "What do we want next?"},
    {"experts.staging", MOE_PARAM_LIST, SAMPLE(staging), .stride = sizeof(stage), .max_items = 3,
     .flags = MOE_PARAM_IDENTITY, .help = "Places on the way."},
    {"experts.staging.*.place", MOE_PARAM_TEXT, STAGE(place), .flags = MOE_PARAM_REQUIRED,
     .help = "Its name."},
    {"experts.staging.*.limits.capacity", MOE_PARAM_AMOUNT, STAGE(capacity), "rest",
     .help = "What it may fill."},
    {"experts.staging.*.evict", MOE_PARAM_CHOICE, STAGE(evict), "lru", CHOICES(evict_variants),
     .help = "Who leaves it?"},
    {"experts.staging.*.bandwidth", MOE_PARAM_RATE, STAGE(bandwidth), "1GB/s",
     .flags = MOE_PARAM_SOURCED, .help = "Of reading it."},
    {"devices", MOE_PARAM_LIST, SAMPLE(devices), .stride = sizeof(device), .help = "Who computes."},
    {"devices.*.kind", MOE_PARAM_CHOICE, offsetof(device, kind), "lru", CHOICES(evict_variants),
     .help = "Of which kind."},
    {"devices.*.rank", MOE_PARAM_INT, offsetof(device, rank), .help = "Its number."},
    {"units.size", MOE_PARAM_BYTES, SAMPLE(size), "1GiB", .min = 1024, .flags = MOE_PARAM_SOURCED,
     .help = "A size."},
    {"units.latency", MOE_PARAM_TIME, SAMPLE(latency), "10us", .max = 1e12, .help = "A time."},
    {"units.rate", MOE_PARAM_RATE, SAMPLE(rate), "64GB/s", .min = 1e6,
     .flags = MOE_PARAM_SOURCED, .help = "A rate."},
    {"units.flops", MOE_PARAM_FLOPS, SAMPLE(flops), "312TFLOPS", .help = "A compute rate."},
    {"units.power", MOE_PARAM_POWER, SAMPLE(power), "450W", .help = "A power."},
    {"units.moved", MOE_PARAM_BIT_ENERGY, SAMPLE(moved), "unknown", 0, 1e6, .help = "Of a bit."},
    {"units.worked", MOE_PARAM_FLOP_ENERGY, SAMPLE(worked), "0.5pJ/FLOP", .help = "Of a FLOP."},
    {"units.scale", MOE_PARAM_REAL, SAMPLE(scale), "1.5", .min = -1, .max = 2, .help = "A number."},
    {"units.within", MOE_PARAM_SHARE, SAMPLE(within), "15%", .help = "A share | of something."},
    {"units.strict", MOE_PARAM_BOOL, SAMPLE(strict), "true", .help = "A switch."},
};
/* clang-format on */

static const moe_param_table sample_table = {"sample", sample_rows, MOE_COUNT(sample_rows),
                                             sizeof(sample)};

#endif
