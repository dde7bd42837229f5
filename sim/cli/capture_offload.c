#include "sim/cli/capture_offload.h"

#include "profiler/offload.h"
#include "sim/cli/capture_backend.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/machine/schedule.h"
#include "sim/policy/policy.h"

#include <string.h>

struct moe_capture_offload {
    GPtrArray *docs; /* what the settings were read from */
    moe_settings *cache;
    moe_routing_file *file; /* the trace that is followed, NULL: none */
    moe_schedule *schedule; /* its steps */
    moe_offload *offload;
};

/* Where forecasts come from when a prefetch policy asks and nobody says: the gates, which are here.
 */
#define PREDICT "recorded"

/* Options that say something about the cache, and the keys of moe_cache_table that they set. */
typedef struct cache_option {
    const char *option, *key, *text;
} cache_option;

enum { CACHE_OPTIONS = 6 };

static void
list_options(const moe_capture_values *v, cache_option out[CACHE_OPTIONS])
{
    const cache_option options[CACHE_OPTIONS] = {
        {"--offload", "capacity", v->offload},   {"--scope", "scope", v->scope},
        {"--evict", "evict", v->evict},          {"--predict", "predict", v->predict},
        {"--prefetch", "prefetch", v->prefetch}, {"--profile", "profile", v->profile},
    };
    memcpy(out, options, sizeof options);
}

int
moe_capture_offload_usage(const moe_capture_values *v)
{
    cache_option options[CACHE_OPTIONS];
    list_options(v, options);
    if (v->follow && v->tokens->len + v->text->len > 0)
        return moe_say_usage("moesim capture",
                             "'--follow' takes the tokens of the trace: no '--%s' beside it",
                             v->tokens->len ? "tokens" : "text");
    for (size_t i = 0; i < CACHE_OPTIONS; i++)
        if (options[i].text && !v->offload)
            return moe_say_usage("moesim capture", "'%s' says how '--offload SIZE' caches experts",
                                 options[i].option);
    if ((v->decisions || v->follow) && !v->offload)
        return moe_say_usage("moesim capture", "'--%s' wants '--offload SIZE'",
                             v->decisions ? "decisions" : "follow");
    return MOE_EXIT_OK;
}

static void
read_cache(struct moe_capture_offload *o, const moe_capture_values *v, moe_diag *diag)
{
    cache_option options[CACHE_OPTIONS];
    list_options(v, options);
    o->cache = moe_settings_new(&moe_cache_table);
    for (size_t i = 0; i < CACHE_OPTIONS; i++) {
        unsigned before = moe_diag_errors(diag);
        const char *text = options[i].text;
        if (!text && v->prefetch && !strcmp(options[i].key, "predict"))
            text = PREDICT;
        if (!text)
            continue;
        moe_yaml_doc *doc = moe_yaml_parse(options[i].option, text, strlen(text), diag);
        if (doc) {
            g_ptr_array_add(o->docs, doc);
            moe_settings_set(o->cache, options[i].key, moe_yaml_root(doc), diag);
        }
        if (moe_diag_errors(diag) > before)
            moe_diag_misused(diag);
    }
    moe_settings_complete(o->cache, NULL, diag);
}

/* What the trace that is followed recorded. */
static bool
open_followed(struct moe_capture_offload *o, const moe_capture_job *job, moe_diag *diag,
              GError **error)
{
    const moe_cache *cache = moe_settings_data(o->cache);
    const moe_weights *weights = moe_weights_get(job->weights);
    const moe_stack *stack = moe_model_decoder(weights->arch->model);
    moe_loc at = {.file = job->values->follow};
    o->file = moe_routing_open(job->values->follow, diag, error);
    if (!o->file)
        return false;
    const moe_routing *routing = moe_routing_get(o->file);
    uint32_t experts = weights->arch->router.experts;
    if (routing->n_layers != (uint32_t)stack->n_moe || routing->n_experts != experts) {
        moe_diag_error(diag, at, "has %u layers of %u experts, but the model has %d of %u",
                       routing->n_layers, routing->n_experts, stack->n_moe, experts);
        return false;
    }
    o->schedule = moe_schedule_captured(routing, cache->profile, at, diag);
    return o->schedule != NULL;
}

int
moe_capture_offload_open(moe_capture_job *job)
{
    const moe_capture_values *v = job->values;
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    if (!v->offload)
        return MOE_EXIT_OK;
    struct moe_capture_offload *o = job->offload = g_new0(struct moe_capture_offload, 1);
    o->docs = g_ptr_array_new_with_free_func((GDestroyNotify)moe_yaml_free);
    read_cache(o, v, diag);
    if (moe_diag_errors(diag) == 0 && (!v->follow || open_followed(o, job, diag, &error))) {
        const moe_offload_config config = {
            .cache = o->cache,
            .ahead = o->schedule ? &o->schedule->demand : NULL,
            .popularity = o->schedule ? o->schedule->popularity : NULL,
            .lookahead = job->config.lookahead,
            .decisions = v->decisions,
            .slots = moe_capture_backend_slots(job),
        };
        o->offload =
            moe_offload_new(job->weights, &config, (moe_loc){.file = "--offload"}, diag, &error);
    }
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (!o->offload)
        return code;
    job->config.source = moe_offload_source(o->offload);
    return MOE_EXIT_OK;
}

int
moe_capture_offload_report(const moe_capture_job *job)
{
    GError *error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    if (!job->offload || !job->offload->offload)
        return MOE_EXIT_OK;
    bool finished = moe_offload_finish(job->offload->offload, &error);
    moe_offload_describe(job->offload->offload, text);
    moe_out_text(text->str);
    if (!finished)
        return moe_say_error(error);
    if (job->values->decisions)
        moe_out("%s written\n", job->values->decisions);
    return MOE_EXIT_OK;
}

void
moe_capture_offload_close(moe_capture_job *job)
{
    struct moe_capture_offload *o = job->offload;
    if (!o)
        return;
    moe_offload_free(o->offload);
    moe_schedule_free(o->schedule);
    moe_routing_close(o->file);
    moe_settings_free(o->cache);
    g_ptr_array_unref(o->docs);
    g_free(o);
    job->offload = NULL;
}
