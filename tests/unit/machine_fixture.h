/* Small traces, the schedules laid over them, and scenarios from text, for tests of sim/machine. */
#ifndef MOE_TESTS_MACHINE_FIXTURE_H
#define MOE_TESTS_MACHINE_FIXTURE_H

#include "sim/base/random.h"
#include "sim/machine/scenario_private.h"
#include "tests/test.h"

#include <glib/gstdio.h>

/* Sequences by the phases of their tokens: "ppd d" is two prefill tokens and a decode token, and a
 * sequence of one decode token. Experts are drawn at random. */
typedef struct fixture_trace {
    uint32_t layers, experts, k;
    const char *sequences;
    uint64_t seed;
    double holes; /* chance that a token has fewer than k experts at a layer, or none */
} fixture_trace;

static inline void
fixture_ids(const fixture_trace *trace, moe_stream *stream, uint16_t *ids)
{
    for (uint32_t l = 0; l < trace->layers; l++) {
        uint16_t *row = ids + (size_t)l * trace->k;
        uint32_t n = trace->k;
        uint16_t none = MOE_ROUTING_NO_EXPERT;
        if (moe_stream_unit(stream) < trace->holes) {
            n = (uint32_t)moe_stream_below(stream, trace->k);
            none = n == 0 ? MOE_ROUTING_NOT_RUN : none;
        }
        for (uint32_t j = 0; j < n; j++) {
            bool taken = true;
            while (taken) {
                row[j] = (uint16_t)moe_stream_below(stream, trace->experts);
                taken = false;
                for (uint32_t i = 0; i < j; i++)
                    taken |= row[i] == row[j];
            }
        }
        for (uint32_t j = n; j < trace->k; j++)
            row[j] = none;
    }
}

static inline moe_routing_file *
fixture_routing(const fixture_trace *trace)
{
    moe_routing_builder *builder = moe_routing_builder_new(trace->layers, trace->experts, trace->k);
    moe_stream stream = moe_stream_new(trace->seed, "fixture", 0);
    g_autofree uint16_t *ids = g_new(uint16_t, (size_t)trace->layers * trace->k);
    uint32_t sequence = 0, position = 0;
    for (const char *at = trace->sequences; *at; at++) {
        if (*at == ' ') {
            sequence++;
            position = 0;
            continue;
        }
        fixture_ids(trace, &stream, ids);
        moe_routing_builder_add(builder, sequence, position++,
                                *at == 'p' ? MOE_PREFILL : MOE_DECODE, ids, NULL);
    }
    return moe_routing_builder_finish(builder, "tiny");
}

/* A schedule with what it rests on; `messages` says why there is none. */
typedef struct fixture_schedule {
    moe_routing_file *file;
    moe_yaml_doc *doc;
    moe_settings *settings;
    moe_schedule *schedule;
    char *messages;
} fixture_schedule;

static inline fixture_schedule
fixture_lay_out(const fixture_trace *trace, const char *keys, bool encoder)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    fixture_schedule made = {.file = fixture_routing(trace),
                             .doc = moe_yaml_parse("keys", keys, strlen(keys), diag),
                             .settings = moe_settings_new(&moe_config_table)};
    if (made.doc)
        moe_settings_read(made.settings, moe_yaml_root(made.doc), NULL, false, diag);
    if (moe_diag_errors(diag) == 0)
        made.schedule =
            moe_schedule_new(moe_routing_get(made.file), moe_settings_data(made.settings), NULL,
                             encoder, (moe_loc){.file = "tiny.yaml", .line = 3, .column = 7}, diag);
    made.messages = moe_diag_render(diag);
    return made;
}

static inline void
fixture_clear(fixture_schedule *made)
{
    moe_schedule_free(made->schedule);
    moe_routing_close(made->file);
    moe_settings_free(made->settings);
    moe_yaml_free(made->doc);
    g_free(made->messages);
}

/* A scenario from text; NULL with *messages (yours), in which the file is called "s.yaml". */
static inline moe_scenario *
fixture_scenario(const char *text, const moe_override *overrides, size_t n, char **messages)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    moe_assert(folder, "no temporary folder");
    g_autofree char *path = g_build_filename(folder, "s.yaml", NULL);
    g_file_set_contents(path, text, -1, NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_scenario *scenario = moe_scenario_load(path, overrides, n, false, diag, &error);
    g_autofree char *rendered = moe_diag_render(diag);
    g_autofree char *prefix = g_strconcat(folder, "/", NULL);
    g_auto(GStrv) parts = g_strsplit(rendered, prefix, 0);
    *messages = error ? g_strdup(error->message) : g_strjoinv("", parts);
    g_unlink(path);
    g_rmdir(folder);
    return scenario;
}

/* The same, where it must load. */
static inline moe_scenario *
fixture_load(const char *text)
{
    g_autofree char *messages = NULL;
    moe_scenario *scenario = fixture_scenario(text, NULL, 0, &messages);
    MOE_CHECK(scenario, "%s\n%s", text, messages);
    return scenario;
}

#endif
