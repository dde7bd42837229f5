/* Runs with offloaded experts that follow a trace, their counts and their logs. */
#ifndef MOE_TESTS_PROPERTY_OFFLOAD_RUNS_H
#define MOE_TESTS_PROPERTY_OFFLOAD_RUNS_H

#include "sim/machine/decided.h"
#include "tests/property/offload_fixture.h"

static const offload_script scripts[] = {
    {{7, 5, 9}, {0, 2, 2}, {14, 9, 6}}, /* prompts beside decoded tokens */
    {{12, 0, 0}, {0, 99, 99}, {20, 0, 0}},
};
static const char *const capacities[] = {"2 slots", "30%", "75%"};

/* What is known of a run when it is followed. */
typedef struct followed {
    moe_routing_file *file;
    moe_schedule *schedule;
} followed;

static inline followed
follow(const char *path)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    followed f = {.file = moe_routing_open(path, diag, &error)};
    f.schedule =
        f.file ? moe_schedule_captured(moe_routing_get(f.file), 0.4, (moe_loc){0}, diag) : NULL;
    g_autofree char *messages = moe_diag_render(diag);
    moe_assert(f.schedule, "%s%s", messages, error ? error->message : "");
    return f;
}

static inline void
unfollow(followed *f)
{
    moe_schedule_free(f->schedule);
    moe_routing_close(f->file);
}

/* One executed run, its counts as text; the log goes to `log`. slots: where experts are kept, NULL:
 * in memory. */
static inline char *
execute(const offload_model *model, const offload_script *script, const followed *f,
        const char *keys, const char *log, const moe_expert_cache *slots)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_yaml_doc *doc;
    g_autoptr(moe_settings) cache = offload_cache(keys, &doc);
    const moe_offload_config config = {.cache = cache,
                                       .ahead = &f->schedule->demand,
                                       .popularity = f->schedule->popularity,
                                       .lookahead = 1,
                                       .decisions = log,
                                       .slots = slots};
    moe_offload *offload = moe_offload_new(model->weights, &config, (moe_loc){0}, diag, &error);
    g_autofree char *messages = moe_diag_render(diag);
    moe_assert(offload, "%s: %s%s", keys, messages, error ? error->message : "");
    MOE_CHECK(offload_play(model, script, offload, NULL, &error) &&
                  moe_offload_finish(offload, &error),
              "%s: %s", keys, error ? error->message : "no error");
    GString *counts = g_string_new(NULL);
    const moe_tier_counts *tier = moe_offload_residency(offload);
    for (uint32_t l = 0; l < moe_offload_layers(offload); l++) {
        const moe_offload_counts *c = moe_offload_counted(offload, l);
        g_string_append_printf(counts, "%u: %llu %llu %llu\n", l,
                               (unsigned long long)(c->hits + c->late),
                               (unsigned long long)c->misses, (unsigned long long)c->loads);
    }
    g_string_append_printf(counts, "%llu fills, %llu evictions\n", (unsigned long long)tier->fills,
                           (unsigned long long)tier->evictions);
    moe_offload_free(offload);
    moe_yaml_free(doc);
    return g_string_free(counts, FALSE);
}

/* Replays a log; its message, or "" when every decision was right and the counts are complete. */
static inline char *
replayed(const char *log, const followed *f)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_decisions) decisions = moe_decisions_open(log, diag, &error);
    moe_decided decided;
    if (decisions &&
        moe_decided_replay(decisions, moe_routing_get(f->file), &decided, diag, &error)) {
        bool complete = decided.complete && decided.n_steps == decided.of_steps;
        moe_decided_clear(&decided);
        return g_strdup(complete ? "" : "incomplete");
    }
    g_autofree char *messages = moe_diag_render(diag);
    return g_strconcat(messages, error ? error->message : "", NULL);
}

#endif
