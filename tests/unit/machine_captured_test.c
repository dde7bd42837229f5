/* A trace's own steps as a schedule. */
#include "tests/unit/machine_fixture.h"

/* Tokens "sequence:position:step:phase", in the order of the file; experts are drawn at random. */
static moe_routing_file *
stepped(const char *tokens, bool steps)
{
    moe_routing_builder *builder = moe_routing_builder_new(2, 8, 2);
    fixture_trace shape = {2, 8, 2, "", 0, 0};
    moe_stream stream = moe_stream_new(1, "captured", 0);
    g_auto(GStrv) parts = g_strsplit(tokens, " ", 0);
    for (char **part = parts; *part; part++) {
        unsigned sequence, position, step;
        char phase;
        uint16_t ids[4];
        MOE_CHECK(sscanf(*part, "%u:%u:%u:%c", &sequence, &position, &step, &phase) == 4, "%s",
                  *part);
        fixture_ids(&shape, &stream, ids);
        moe_routing_builder_add(builder, sequence, position,
                                phase == 'p' ? MOE_PREFILL : MOE_DECODE, ids, NULL);
        if (steps)
            moe_routing_builder_step(builder, step);
    }
    return moe_routing_builder_finish(builder, "stepped");
}

/* "p3+2 m2 d1": kind, tokens, admitted. */
static char *
steps_text(const moe_schedule *schedule)
{
    GString *text = g_string_new(NULL);
    for (uint32_t s = 0; s < schedule->n_steps; s++) {
        const moe_step *step = &schedule->steps[s];
        g_string_append_printf(text, "%s%c%u", s ? " " : "", moe_step_kind(step)[0], step->n);
        if (step->admitted)
            g_string_append_printf(text, "+%u", step->admitted);
    }
    return g_string_free(text, false);
}

static char *
requests_text(const moe_schedule *schedule)
{
    GString *text = g_string_new(NULL);
    for (uint32_t r = 0; r < schedule->n_requests; r++) {
        const moe_request *q = &schedule->requests[r];
        g_string_append_printf(text, "%s%u+%u@%u,%u,%u:%u", r ? " " : "", q->prompt, q->output,
                               q->admitted, q->first, q->last, q->context);
    }
    return g_string_free(text, false);
}

static const struct {
    const char *tokens, *steps, *requests, *rows;
    uint32_t batch;
} laid[] = {
    /* one sequence; steps are numbered with a gap */
    {"0:0:4:p 0:1:4:p 0:2:7:d 0:3:9:d", "p2+1 d1 d1", "2+2@0,0,2:4", "0 1 2 3", 1},
    /* a second one joins: its prompt runs beside a decoded token */
    {"0:0:0:p 0:1:1:d 1:0:1:p 1:1:1:p 0:2:2:d 1:2:2:d", "p1+1 m3+1 d2", "1+2@0,0,2:3 2+1@1,1,2:3",
     "0 1 2 3 4 5", 2},
    /* a prompt in two chunks gives its first token with the second */
    {"0:0:0:p 0:1:0:p 0:2:1:p 0:3:2:d", "p2+1 p1 d1", "3+1@0,1,2:4", "0 1 2 3", 1},
    /* decode only, from its recorded position on */
    {"5:9:0:d 5:10:1:d", "d1+1 d1", "0+2@0,0,1:11", "0 1", 1},
    /* a file by sequence: rows of a step are brought together, in the order of the file */
    {"0:0:0:p 0:1:1:d 0:2:2:d 1:0:0:p 1:1:1:d", "p2+2 d2 d1", "1+2@0,0,2:3 1+1@0,0,1:2",
     "0 3 1 4 2", 2},
};

static void
own_steps(void)
{
    for (size_t i = 0; i < MOE_COUNT(laid); i++) {
        moe_routing_file *file = stepped(laid[i].tokens, true);
        g_autoptr(moe_diag) diag = moe_diag_new();
        moe_schedule *s = moe_schedule_captured(moe_routing_get(file), 1, (moe_loc){0}, diag);
        g_autofree char *messages = moe_diag_render(diag);
        MOE_CHECK(s, "%zu: %s", i, messages);
        if (s) {
            g_autofree char *steps = steps_text(s), *requests = requests_text(s);
            GString *rows = g_string_new(NULL);
            for (uint64_t t = 0; t < s->n_tokens; t++) {
                g_string_append_printf(rows, "%s%u", t ? " " : "", s->rows[t]);
                MOE_CHECK(s->context[t] == s->routing->position[s->rows[t]] + 1, "%zu: context", i);
                MOE_CHECK(s->routing->sequence_ids[s->request[t]] ==
                              s->routing->sequence[s->rows[t]],
                          "%zu: request", i);
            }
            MOE_CHECK(!strcmp(steps, laid[i].steps), "%zu: %s", i, steps);
            MOE_CHECK(!strcmp(requests, laid[i].requests), "%zu: %s", i, requests);
            MOE_CHECK(!strcmp(rows->str, laid[i].rows), "%zu: rows %s", i, rows->str);
            MOE_CHECK(s->batch == laid[i].batch && s->reused == 0, "%zu: batch %u", i, s->batch);
            MOE_CHECK(s->demand.n_steps == s->n_steps, "%zu: demand", i);
            g_string_free(rows, true);
        }
        moe_schedule_free(s);
        moe_routing_close(file);
    }
}

static void
messages(void)
{
    static const struct {
        const char *tokens;
        bool steps;
        const char *message;
    } faults[] = {
        {"0:0:0:p 0:1:1:d", false,
         "t.yaml: error: the trace stepped does not say which tokens ran together (it has no "
         "tensor "
         "'step'), so it cannot be replayed as captured\n"},
        {"7:0:3:p 7:1:2:d", true,
         "t.yaml: error: the trace stepped cannot be replayed as captured: position 1 of sequence "
         "7 ran in step 2, and position 0 before that in step 3\n"},
    };
    for (size_t i = 0; i < MOE_COUNT(faults); i++) {
        moe_routing_file *file = stepped(faults[i].tokens, faults[i].steps);
        g_autoptr(moe_diag) diag = moe_diag_new();
        moe_schedule *s =
            moe_schedule_captured(moe_routing_get(file), 0, (moe_loc){.file = "t.yaml"}, diag);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(!s && !strcmp(text, faults[i].message), "%zu: %s", i, text);
        moe_routing_close(file);
    }
}

/* ---- a schedule that is written down and replayed is the same run ---- */

/* The rows of a schedule as a trace with steps. */
static void
write_schedule(const moe_schedule *schedule, const char *path)
{
    const moe_routing *routing = schedule->routing;
    moe_routing_builder *builder =
        moe_routing_builder_new(routing->n_layers, routing->n_experts, routing->k);
    g_autofree uint16_t *ids = g_new(uint16_t, (size_t)routing->n_layers * routing->k);
    for (uint32_t s = 0; s < schedule->n_steps; s++) {
        const moe_step *step = &schedule->steps[s];
        for (uint64_t t = step->first; t < step->first + step->n; t++) {
            uint32_t row = schedule->rows[t];
            for (uint32_t i = 0; i < routing->n_layers * routing->k; i++)
                ids[i] = (uint16_t)moe_routing_id(routing, row, i / routing->k, i % routing->k);
            moe_routing_builder_add(builder, routing->sequence[row], routing->position[row],
                                    (moe_phase)routing->phase[row], ids, NULL);
            moe_routing_builder_step(builder, s);
        }
    }
    g_autoptr(GError) error = NULL;
    MOE_CHECK(moe_routing_builder_write(builder, path, &error), "%s", error->message);
}

static char *
rows_text(const moe_result *result)
{
    GString *out = g_string_new(NULL);
    for (size_t t = 0; t < moe_result_tables(result); t++)
        for (size_t r = 0; r < moe_result_rows(result, t); r++) {
            size_t n;
            const moe_cell *row = moe_result_row(result, t, r, &n);
            g_string_append(out, moe_result_table(result, t));
            for (size_t c = 0; c < n; c++)
                if (row[c].kind == MOE_CELL_TEXT)
                    g_string_append_printf(out, " %s", row[c].text);
                else if (row[c].kind == MOE_CELL_REAL)
                    g_string_append_printf(out, " %.17g", row[c].real);
                else
                    g_string_append_printf(out, " %lld", (long long)row[c].integer);
            g_string_append_c(out, '\n');
        }
    return g_string_free(out, false);
}

static void
replays_a_schedule(void)
{
    static const char form[] =
        "model: mixtral-8x7b\nhardware: desktop-rtx4090\nprecision: {experts: int4}\nstore: all\n"
        "routing: {%s}\n%s\n"
        "experts: {home: dram, cache: {evict: %s}, prefetch: {kind: %s}}\n";
    static const char *const evict[] = {"lru", "belady", "arc"};
    static const char *const prefetch[] = {"none", "next-layer", "whole-next-layer"};
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "steps.safetensors", NULL);
    g_autofree char *trace = g_strdup_printf("trace: %s", path);
    for (uint32_t i = 0; i < 9; i++) {
        g_autofree char *workload = g_strdup_printf("workload: {batch: %u}", 1 + i / 3);
        g_autofree char *slots =
            g_strdup_printf(form, "synthetic: {sequences: 5, prompt: 4, output: 6}", workload,
                            evict[i % 3], prefetch[i % 3]);
        g_autoptr(moe_scenario) a = fixture_load(slots);
        write_schedule(a->runs[0].plan.schedule, path);
        g_autofree char *captured =
            g_strdup_printf(form, trace, "batching: as-captured", evict[i % 3], prefetch[i % 3]);
        g_autoptr(moe_scenario) b = fixture_load(captured);
        moe_result *first = moe_scenario_simulate(a, 0, NULL, NULL, NULL);
        moe_result *second = moe_scenario_simulate(b, 0, NULL, NULL, NULL);
        g_autofree char *x = rows_text(first), *y = rows_text(second);
        MOE_CHECK(!strcmp(x, y), "%u: the replay of a schedule is another run", i);
        moe_result_free(first);
        moe_result_free(second);
    }
    g_unlink(path);
    g_rmdir(folder);
}

MOE_TESTS({"own steps", own_steps}, {"messages", messages},
          {"replays a schedule", replays_a_schedule})
