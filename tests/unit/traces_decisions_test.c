/* Decision logs: what is written is read again, and what can be wrong with one. */
#include "traces/decisions.h"
#include "tests/test.h"

#include <glib/gstdio.h>

static const uint32_t objects[] = {7, 9, 11};
static const uint8_t outcomes[] = {0, 2, 1};

/* Layers of 5 experts. */
static const moe_decision decisions[] = {
    {.kind = MOE_DECISION_GATE,
     .step = 3,
     .layer = 1,
     .tokens = 24,
     .n = 2,
     .objects = objects,
     .outcomes = outcomes},
    {.kind = MOE_DECISION_WANT, .window_ps = 120000, .load_ps = 35, .n = 3, .objects = objects},
    {.kind = MOE_DECISION_LOAD, .object = 9, .victim = MOE_NONE},
    {.kind = MOE_DECISION_LOAD, .object = 8, .victim = 4},
    {.kind = MOE_DECISION_FULL, .object = 6},
    {.kind = MOE_DECISION_PREFETCH, .object = 11, .victim = 0},
    {.kind = MOE_DECISION_REFUSE, .object = 12},
    {.kind = MOE_DECISION_HERE, .object = 9},
    {.kind = MOE_DECISION_DONE, .object = 9},
    {.kind = MOE_DECISION_OFF, .object = 11},
    {.kind = MOE_DECISION_END},
    {.kind = MOE_DECISION_GATE, .step = 4, .layer = 0, .tokens = 1},
    {.kind = MOE_DECISION_COUNT, .layer = 2, .counts = {1, 2, 3, 4, 5, UINT64_MAX - 1}},
};

static const char text[] = "moesim-decisions 1\n"
                           "shape 3 5\n"
                           "set slots 4\n"
                           "set evict {kind: lfu, counts: history}\n"
                           "gate 3 1 24 2=hit 4=miss\n"
                           "want 120000 35 1.2 1.4 2.1\n"
                           "load 1.4 -\n"
                           "load 1.3 0.4\n"
                           "full 1.1\n"
                           "prefetch 2.1 0.0\n"
                           "refuse 2.2\n"
                           "here 1.4\n"
                           "done 1.4\n"
                           "off 2.1\n"
                           "end\n"
                           "gate 4 0 1\n"
                           "count 2 1 2 3 4 5 18446744073709551614\n";

static void
written(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "a.log", NULL), *got = NULL;
    g_autofree char *before = NULL;
    g_autoptr(GError) error = NULL;
    moe_decisions_writer *writer = moe_decisions_writer_new(path, 3, 5, &error);
    MOE_CHECK(writer, "%s", error->message);
    moe_decisions_set(writer, "slots", "4");
    /* Until something is decided, what is there stays: no file, or the log of a run before. */
    MOE_CHECK(moe_decisions_flush(writer, &error), "%s", error->message);
    moe_decisions_writer_free(writer);
    MOE_CHECK(!g_file_test(path, G_FILE_TEST_EXISTS), "%s is left", path);
    g_file_set_contents(path, "before", -1, NULL);
    moe_decisions_writer_free(moe_decisions_writer_new(path, 3, 5, &error));
    g_file_get_contents(path, &before, NULL, NULL);
    MOE_CHECK(before && !strcmp(before, "before"), "%s", before);
    writer = moe_decisions_writer_new(path, 3, 5, &error);
    MOE_CHECK(writer, "%s", error->message);
    moe_decisions_set(writer, "slots", "4");
    moe_decisions_set(writer, "evict", "{kind: lfu, counts: history}");
    for (size_t i = 0; i < MOE_COUNT(decisions); i++) {
        moe_decisions_add(writer, &decisions[i]);
        if (i % 5 == 4)
            MOE_CHECK(moe_decisions_flush(writer, &error), "%s", error->message);
    }
    MOE_CHECK(moe_decisions_flush(writer, &error), "%s", error->message);
    moe_decisions_writer_free(writer);
    g_file_get_contents(path, &got, NULL, NULL);
    MOE_CHECK(!strcmp(got, text), "%s", got);
    g_unlink(path);
    g_rmdir(folder);
    MOE_CHECK(!moe_decisions_writer_new(path, 3, 5, &error) && strstr(error->message, path), "%s",
              error ? error->message : "no error");
}

static void
check_same(const moe_decision *a, const moe_decision *b, size_t i)
{
    bool objects_too = a->kind != MOE_DECISION_GATE && a->kind != MOE_DECISION_WANT &&
                       a->kind != MOE_DECISION_END && a->kind != MOE_DECISION_COUNT;
    bool victims = a->kind == MOE_DECISION_LOAD || a->kind == MOE_DECISION_PREFETCH;
    MOE_CHECK(a->kind == b->kind && a->step == b->step && a->layer == b->layer &&
                  a->tokens == b->tokens && a->window_ps == b->window_ps &&
                  a->load_ps == b->load_ps && a->n == b->n,
              "%zu: kinds %d and %d", i, (int)a->kind, (int)b->kind);
    MOE_CHECK(!objects_too || a->object == b->object, "%zu: object %u", i, b->object);
    MOE_CHECK(!victims || a->victim == b->victim, "%zu: victim %u", i, b->victim);
    for (size_t j = 0; j < a->n && j < b->n; j++) {
        MOE_CHECK(a->objects[j] == b->objects[j], "%zu: object %zu is %u", i, j, b->objects[j]);
        MOE_CHECK(!a->outcomes || a->outcomes[j] == b->outcomes[j], "%zu: outcome %zu", i, j);
    }
    for (size_t j = 0; j < MOE_DECISION_COUNTS; j++)
        MOE_CHECK(a->counts[j] == b->counts[j], "%zu: count %zu", i, j);
}

static void
read_again(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_decisions) log = moe_decisions_open_memory("a.log", text, strlen(text), diag);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(log && moe_decisions_layers(log) == 3 && moe_decisions_experts(log) == 5, "%s",
              messages);
    const char *key, *value;
    moe_loc at;
    CU_ASSERT(moe_decisions_setting(log, 1, &key, &value, &at));
    CU_ASSERT_STRING_EQUAL(key, "evict");
    CU_ASSERT_STRING_EQUAL(value, "{kind: lfu, counts: history}");
    CU_ASSERT_EQUAL(at.line, 4);
    CU_ASSERT(!moe_decisions_setting(log, 2, &key, &value, &at));
    moe_decision got;
    for (size_t i = 0; i < MOE_COUNT(decisions); i++) {
        CU_ASSERT_EQUAL(moe_decisions_next(log, &got, NULL), MOE_DECISIONS_NEXT);
        CU_ASSERT_EQUAL(moe_decisions_at(log).line, (int)i + 5);
        check_same(&decisions[i], &got, i);
    }
    CU_ASSERT_EQUAL(moe_decisions_next(log, &got, NULL), MOE_DECISIONS_OVER);
    CU_ASSERT_EQUAL(moe_decisions_next(log, &got, NULL), MOE_DECISIONS_OVER);
}

static void
messages(void)
{
    static const struct {
        const char *text, *message;
    } faults[] = {
        {"", "x.log: error: is no decision log: its first line is not 'moesim-decisions 1'\n"},
        {"moesim-decisions 2\n",
         "x.log: error: is no decision log: its first line is not 'moesim-decisions 1'\n"},
        {"moesim-decisions 1\n", "x.log:2: error: wants 'shape LAYERS EXPERTS'\n"},
        {"moesim-decisions 1\nshape 3\n",
         "x.log:2:8: error: wants a number of experts, below 65535\n"},
        {"moesim-decisions 1\nshape 0 4\n", "x.log:2: error: a shape of 0 layers of 4 experts\n"},
        {"moesim-decisions 1\nshape 9999999999999999999999 4\n",
         "x.log:2:7: error: wants a number of layers, below 4097\n"},
        {"moesim-decisions 1\nshape 3 5\nset\n", "x.log:3:4: error: wants a key and its value\n"},
        {"gate 3 7 1", "x.log:3:8: error: wants a layer, below 3\n"},
        {"gate 3 1 1 2=hot", "x.log:3:12: error: wants EXPERT=hit, =late or =miss, of 5 experts\n"},
        {"gate 3 1 1 5=hit", "x.log:3:12: error: wants EXPERT=hit, =late or =miss, of 5 experts\n"},
        {"gate 3 1 1 =hit", "x.log:3:12: error: wants EXPERT=hit, =late or =miss, of 5 experts\n"},
        {"load 1.5 -",
         "x.log:3:6: error: wants an object, LAYER.EXPERT, of 3 layers of 5 experts\n"},
        {"load 1. -",
         "x.log:3:6: error: wants an object, LAYER.EXPERT, of 3 layers of 5 experts\n"},
        {"load 1.2", "x.log:3:9: error: wants an object, LAYER.EXPERT, of 3 layers of 5 experts\n"},
        {"here 1.2 1", "x.log:3:10: error: the line should end here\n"},
        {"want 1 -1", "x.log:3:8: error: wants picoseconds, below 9223372036854775807\n"},
        {"went 1 1", "x.log:3:1: error: wants a decision: gate, want, load, full, prefetch, "
                     "refuse, here, done, off, end or count\n"},
    };
    for (size_t i = 0; i < MOE_COUNT(faults); i++) {
        bool head = !*faults[i].text || g_str_has_prefix(faults[i].text, "moesim");
        g_autofree char *whole =
            g_strconcat(head ? "" : "moesim-decisions 1\nshape 3 5\n", faults[i].text, NULL);
        g_autoptr(moe_diag) diag = moe_diag_new();
        moe_decisions *log = moe_decisions_open_memory("x.log", whole, strlen(whole), diag);
        moe_decision got;
        CU_ASSERT_EQUAL(log == NULL, head);
        if (log)
            CU_ASSERT_EQUAL(moe_decisions_next(log, &got, NULL), MOE_DECISIONS_FAILED);
        g_autofree char *said = moe_diag_render(diag);
        MOE_CHECK(!strcmp(said, faults[i].message), "%zu: %s", i, said);
        moe_decisions_close(log);
    }
}

MOE_TESTS({"written", written}, {"read again", read_again}, {"messages", messages})
