#include "sim/machine/config.h"

#include "models/model.h"
#include "sim/policy/policy.h"
#include "sim/residency/residency.h"
#include "traces/routing.h"
#include "traces/transform/transform.h"

#include <string.h>

#define AT(field) offsetof(moe_config, field)
#define IN_STAGING(field) offsetof(moe_cache_config, field)
#define ID MOE_PARAM_IDENTITY
#define ID_RECORDED (MOE_PARAM_IDENTITY | MOE_PARAM_RECORDED)
#define MAX_BATCH 4096.0

static const moe_param rows[] = {
    {"name", MOE_PARAM_TEXT, AT(name), "unnamed",
     .help = "Title of the scenario in tables and figures."},
    {"label", MOE_PARAM_TEXT, AT(label), NULL, .flags = ID,
     .help = "Name of a run among its siblings; sweep it with `zip` to name combinations of keys."},
    {"model", MOE_PARAM_TEXT, AT(model), NULL, .flags = MOE_PARAM_REQUIRED,
     .help = "A preset (`moesim list models`), a model file, or a Hugging Face config.json."},
    {"hardware", MOE_PARAM_TEXT, AT(hardware), NULL, .flags = MOE_PARAM_REQUIRED,
     .help = "A preset (`moesim list hardware`) or a hardware file."},
    {"kernels", MOE_PARAM_TEXT, AT(kernels), NULL,
     .help = "A kernel library (`moesim list kernels`) or its file: which software's kernels run "
             "on the first device; `own`: none, the device's own flat numbers; default: what the "
             "hardware names."},
    {"seed", MOE_PARAM_INT, AT(seed), "1", 0, 9.2e18, .flags = ID,
     .help = "Seed of every random stream of the run."},
    {"store", MOE_PARAM_ENUM, AT(store), "summary",
     .choices = "summary|layer|step|request|all|timeline",
     .help = "Which detailed rows go to the database besides the summary; timeline: a row for each "
             "task of the run, and the steps (`moesim profile timeline` draws them)."},

    {"infeasible", MOE_PARAM_ENUM, AT(infeasible), "error", .choices = "error|skip",
     .help = "What to do with runs of a sweep that do not fit: refuse the scenario, or leave them "
             "out with a warning."},

    {"precision.weights", MOE_PARAM_ENUM, AT(precision.weights), "native", .choices = MOE_DTYPES,
     .flags = ID, .help = "Weights other than routed experts; `native` is the model's own dtype."},
    {"precision.experts", MOE_PARAM_ENUM, AT(precision.experts), "native", .choices = MOE_DTYPES,
     .flags = ID, .help = "Weights of routed experts, in every tier."},
    {"precision.kv", MOE_PARAM_ENUM, AT(precision.kv), "bf16", .choices = MOE_DTYPES, .flags = ID,
     .help = "Elements of the KV cache."},
    {"precision.activations", MOE_PARAM_ENUM, AT(precision.activations), "bf16",
     .choices = MOE_DTYPES, .flags = ID,
     .help = "Activations; selects the arithmetic's peak rate."},

    {"routing.trace", MOE_PARAM_TEXT, AT(routing.trace), NULL,
     .help = "Routing trace (safetensors; `moesim trace import` makes one)."},
    {"routing.synthetic.sequences", MOE_PARAM_INT, AT(routing.synthetic.sequences), "0", 0, 1e6,
     .flags = ID, .help = "Without a trace: make this many sequences of the model's shape."},
    {"routing.synthetic.prompt", MOE_PARAM_INT, AT(routing.synthetic.prompt), "64", 0, 1e6,
     .unit = "tokens", .flags = ID, .help = "Prefill tokens of each made sequence."},
    {"routing.synthetic.output", MOE_PARAM_INT, AT(routing.synthetic.output), "64", 0, 1e6,
     .unit = "tokens", .flags = ID, .help = "Decode tokens of each made sequence."},
    {"routing.synthetic.experts", MOE_PARAM_INT, AT(routing.synthetic.experts), "0", 0,
     MOE_ROUTING_MAX_EXPERTS, .unit = "experts", .flags = ID,
     .help = "Experts per layer, where a transform makes others of them; 0: the model's."},
    {"routing.synthetic.top_k", MOE_PARAM_INT, AT(routing.synthetic.top_k), "0", 0,
     MOE_ROUTING_MAX_K, .unit = "experts", .flags = ID,
     .help = "Experts per token, likewise; 0: the model's."},
    {"routing.synthetic.domains", MOE_PARAM_INT, AT(routing.synthetic.domains), "1", 1, 1024,
     .flags = ID,
     .help = "Kinds of text, each with its own popular experts; sequences take them in turn."},
    {"routing.synthetic.modalities", MOE_PARAM_INT, AT(routing.synthetic.modalities), "1", 1, 255,
     .flags = ID, .help = "Kinds of token, such as text and image; each token is of any of them."},
    {"routing.synthetic.skew", MOE_PARAM_REAL, AT(routing.synthetic.skew), "0", 0, 8, .flags = ID,
     .help = "Zipf exponent of expert popularity; 0: all alike."},
    {"routing.synthetic.stickiness", MOE_PARAM_SHARE, AT(routing.synthetic.stickiness), "0", 0, 1,
     .flags = ID,
     .help = "Chance that a token keeps the previous token's expert; with logits, their "
             "correlation from token to token."},
    {"routing.synthetic.affinity", MOE_PARAM_SHARE, AT(routing.synthetic.affinity), "0", 0, 1,
     .flags = ID, .help = "Chance that an expert follows from the one at the layer before."},
    {"routing.synthetic.logits", MOE_PARAM_REAL, AT(routing.synthetic.logits), "0", 0, 4,
     .flags = ID,
     .help = "Make router logits with this standard deviation (and popularity's skew), and route "
             "by them; 0: draw experts, without logits or weights."},
    {"routing.synthetic.taste", MOE_PARAM_SHARE, AT(routing.synthetic.taste), "0", 0, 1,
     .flags = ID,
     .help = "Share of the logits' variance that is the sequence's, the same for all its tokens."},
    {"routing.synthetic.drift", MOE_PARAM_SHARE, AT(routing.synthetic.drift), "0", 0, 1,
     .flags = ID,
     .help = "How much of that a token loses; 0: a sequence's taste lasts throughout."},
    {"routing.synthetic.lookahead", MOE_PARAM_INT, AT(routing.synthetic.lookahead), "0", 0, 8,
     .unit = "layers", .flags = ID, .help = "Distance of a made look-ahead tensor; 0: none."},
    {"routing.synthetic.recall", MOE_PARAM_SHARE, AT(routing.synthetic.recall), "100%", 0, 1,
     .flags = ID, .help = "Recall of that look-ahead."},
    {"routing.transform", MOE_PARAM_LIST, AT(routing.transform), NULL, .stride = sizeof(moe_choice),
     .max_items = 16, .flags = ID,
     .help = "Steps that change the routing, in order (`moesim list transforms`); runs on it are "
             "marked counterfactual."},
    {"routing.transform.*.kind", MOE_PARAM_CHOICE, 0, NULL, .variants = moe_transforms,
     .n_variants = MOE_N_TRANSFORMS, .unit = "transform", .flags = ID | MOE_PARAM_REQUIRED,
     .help = "What the step does."},
    {"routing.profile", MOE_PARAM_SHARE, AT(routing.profile), "10%", 0, 1, .flags = ID,
     .help = "Share of the trace's sequences, from its start, whose expert popularity is known "
             "beforehand to policies that ask for a profile."},

    {"workload.kind", MOE_PARAM_ENUM, AT(workload.kind), "offline", .choices = "offline",
     .flags = ID, .help = "offline: all requests are there at the start, served in batches."},
    {"workload.requests", MOE_PARAM_COUNT, AT(workload.requests), "all", 1, 1e6, .unit = "requests",
     .flags = ID, .help = "Requests to serve; `all`: one per sequence."},
    {"workload.prompt", MOE_PARAM_COUNT, AT(workload.prompt), "recorded", 0, 1e7, .unit = "tokens",
     .flags = ID_RECORDED, .help = "Prompt tokens of each request."},
    {"workload.output", MOE_PARAM_COUNT, AT(workload.output), "recorded", 1, 1e7, .unit = "tokens",
     .flags = ID_RECORDED, .help = "Decoded tokens of each request."},
    {"workload.batch", MOE_PARAM_INT, AT(workload.batch), "1", 1, MAX_BATCH, .unit = "requests",
     .flags = ID, .help = "Requests in flight; a finished one is replaced by the next."},
    {"workload.warmup", MOE_PARAM_INT, AT(workload.warmup), "0", 0, 1e6, .unit = "requests",
     .flags = ID, .help = "Measurement starts at the step after this many requests have finished."},
    {"workload.prefill", MOE_PARAM_ENUM, AT(workload.prefill), "recorded",
     .choices = "recorded|from-decode", .flags = ID,
     .help = "from-decode: let decode routing stand in for prompts of a trace without prefill."},
    {"workload.encoder", MOE_PARAM_TIME, AT(workload.encoder_ps), "0", 0, 3.6e15, .flags = ID,
     .help = "Stated time of a request's encoder pass (encoder-decoder models; encoders are not "
             "simulated yet)."},
    {"batching", MOE_PARAM_ENUM, AT(batching), "slots", .choices = "slots|as-captured", .flags = ID,
     .help = "slots: requests fill the slots of the batch, as `workload` says; as-captured: the "
             "tokens of each step that the trace recorded run together, and `workload` says "
             "nothing but the warm-up."},

    {"overhead.layer", MOE_PARAM_TIME, AT(overhead.layer_ps), "0", 0, 1e12, .flags = ID,
     .help = "Framework time per layer on the compute stream beyond the kernels' own cost."},
    {"overhead.experts", MOE_PARAM_TIME, AT(overhead.experts_ps), "0", 0, 1e12, .flags = ID,
     .help =
         "Framework time per MoE layer's experts (permutation, bookkeeping) beyond the kernels' "
         "own cost."},
    {"overhead.step", MOE_PARAM_TIME, AT(overhead.step_ps), "0", 0, 1e12, .flags = ID,
     .help = "Framework time per step (scheduling, sampling on the host)."},
    {"overhead.gate", MOE_PARAM_TIME, AT(overhead.gate_ps), "0", 0, 1e12, .flags = ID,
     .help = "From a gate's result on the device to the first load the host issues for it."},
    {"overhead.prefetch", MOE_PARAM_TIME, AT(overhead.prefetch_ps), "0", 0, 1e12, .flags = ID,
     .help = "Of each prefetch beyond its transfer: handing it to a thread of its own, and back."},
    {"overhead.pageable", MOE_PARAM_BOOL, AT(overhead.pageable), "false", .flags = ID,
     .help = "Loads come from pageable instead of pinned host memory."},
    {"overhead.graphs", MOE_PARAM_BOOL, AT(overhead.graphs), "false", .flags = ID,
     .help = "Kernels are launched as CUDA graphs: each costs the device's launch_in_graph instead "
             "of its launch."},

    {"experts.home", MOE_PARAM_TEXT, AT(experts.home), "", .flags = ID,
     .help = "Place that holds every expert; empty: the device's own memory (no offloading)."},
    {"experts.cache.place", MOE_PARAM_TEXT, AT(experts.cache.place), "", .flags = ID,
     .help = "Place of the expert cache; empty: the device's own memory."},
    {"experts.cache.capacity", MOE_PARAM_AMOUNT, AT(experts.cache.capacity), "25%",
     .unit = "share, size or slots", .flags = ID,
     .help = "Room for experts: a share of the expert bytes in scope, bytes of the whole cache, "
             "`12 slots` per scope, or `rest`; floored to whole slots."},
    {"experts.cache.scope", MOE_PARAM_ENUM, AT(experts.cache.scope), "model",
     .choices = "model|layer", .flags = ID,
     .help = "One pool of slots for all layers, or one of equal size per layer."},
    {"experts.cache.evict", MOE_PARAM_CHOICE, AT(experts.cache.evict), MOE_DEFAULT_EVICT,
     .variants = moe_evict_policies, .n_variants = MOE_N_EVICT, .unit = "policy", .flags = ID,
     .help = "Who leaves when a slot is needed."},
    {"experts.cache.pin", MOE_PARAM_LIST, AT(experts.pin), NULL, .stride = sizeof(moe_pin_config),
     .max_items = 65536, .flags = ID,
     .help = "Experts that are in the cache from the start and never leave; their slots are taken "
             "from its capacity."},
    {"experts.cache.pin.*.layer", MOE_PARAM_INT, offsetof(moe_pin_config, layer), NULL, 0, 1e6,
     .flags = ID | MOE_PARAM_REQUIRED, .help = "Number of the expert's layer in the model."},
    {"experts.cache.pin.*.expert", MOE_PARAM_INT, offsetof(moe_pin_config, expert), NULL, 0, 65533,
     .flags = ID | MOE_PARAM_REQUIRED, .help = "Its number in the layer."},
    {"experts.staging", MOE_PARAM_LIST, AT(experts.staging), NULL,
     .stride = sizeof(moe_cache_config), .max_items = MOE_MAX_TIERS - 1, .flags = ID,
     .help = "Further caches between the home and the cache, fast to slow."},
    {"experts.staging.*.place", MOE_PARAM_TEXT, IN_STAGING(place), NULL,
     .flags = ID | MOE_PARAM_REQUIRED, .help = "Place of this tier."},
    {"experts.staging.*.capacity", MOE_PARAM_AMOUNT, IN_STAGING(capacity), "50%",
     .unit = "share, size or slots", .flags = ID, .help = "As experts.cache.capacity."},
    {"experts.staging.*.scope", MOE_PARAM_ENUM, IN_STAGING(scope), "model",
     .choices = "model|layer", .flags = ID, .help = "As experts.cache.scope."},
    {"experts.staging.*.evict", MOE_PARAM_CHOICE, IN_STAGING(evict), MOE_DEFAULT_EVICT,
     .variants = moe_evict_policies, .n_variants = MOE_N_EVICT, .unit = "policy", .flags = ID,
     .help = "As experts.cache.evict."},
    {"experts.retention", MOE_PARAM_ENUM, AT(experts.retention), "cache", .choices = "cache|none",
     .flags = ID,
     .help = "none: a layer's experts leave the cache when the layer is done (a plain buffer)."},
    {"experts.granularity", MOE_PARAM_ENUM, AT(experts.granularity), "layer",
     .choices = "layer|expert", .flags = ID,
     .help = "layer: one grouped kernel once all experts are there; expert: a kernel per expert "
             "as each arrives."},
    {"experts.join", MOE_PARAM_ENUM, AT(experts.join), "demanded", .choices = "demanded|wanted",
     .flags = ID,
     .help = "What a layer's experts wait for: the demanded ones, or everything that was wanted "
             "for the layer (a bulk copy)."},
    {"experts.predict.kind", MOE_PARAM_CHOICE, AT(experts.predict), MOE_DEFAULT_PREDICT,
     .variants = moe_predict_policies, .n_variants = MOE_N_PREDICT, .unit = "policy", .flags = ID,
     .help = "Where forecasts come from, for prefetch policies that ask for them."},
    {"experts.prefetch.kind", MOE_PARAM_CHOICE, AT(experts.prefetch), MOE_DEFAULT_PREFETCH,
     .variants = moe_prefetch_policies, .n_variants = MOE_N_PREFETCH, .unit = "policy", .flags = ID,
     .help = "What is loaded before it is asked for."},
    {"experts.serve.kind", MOE_PARAM_CHOICE, AT(experts.serve), MOE_DEFAULT_SERVE,
     .variants = moe_serve_policies, .n_variants = MOE_N_SERVE, .unit = "policy", .flags = ID,
     .help = "How a demanded expert that is not resident is served."},

    {"energy.mode", MOE_PARAM_ENUM, AT(energy.mode), "none", .choices = "none|device|board",
     .flags = ID,
     .help = "Energy from the numbers of the hardware's parts by themselves (`device_energy`), or "
             "of its whole boards (`board_energy`); none: not reported."},
    {"price.per_hour", MOE_PARAM_REAL, AT(price.per_hour), "0", 0, 1e9, .unit = "currency",
     .flags = ID, .help = "Price of the machine per hour; 0: what the hardware's file says."},
    {"price.energy_per_kwh", MOE_PARAM_REAL, AT(price.energy_per_kwh), "0", 0, 1e6,
     .unit = "currency", .flags = ID, .help = "Price of energy, on top; wants `energy.mode`."},
    {"price.currency", MOE_PARAM_TEXT, AT(price.currency), "USD", .flags = ID,
     .help = "Unit of the prices. What the hardware's file says is in USD and is not converted: "
             "another unit wants `price.per_hour`."},
};

const moe_param_table moe_config_table = {"scenario", rows, MOE_COUNT(rows), sizeof(moe_config)};

const char *
moe_config_dtype(int dtype, const char *native)
{
    if (dtype == 0)
        return native;
    const char *name = MOE_DTYPES;
    for (int i = 0; i < dtype; i++)
        name = strchr(name, '|') + 1;
    size_t length = strcspn(name, "|");
    for (size_t i = 0; moe_dtype_names[i]; i++)
        if (strlen(moe_dtype_names[i]) == length && !strncmp(moe_dtype_names[i], name, length))
            return moe_dtype_names[i];
    moe_assert(false, "dtype %d", dtype);
    return NULL;
}

double
moe_config_bits(int dtype, double native)
{
    return dtype ? moe_dtype_bits(moe_config_dtype(dtype, NULL)) : native;
}
