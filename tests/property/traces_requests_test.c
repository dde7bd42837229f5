/* Request traces drawn at random: however they are built, the same trace comes out. */
#include "tests/test.h"

#include "sim/base/random.h"
#include "tests/import.h"

enum { TRACES = 60, MAX_REQUESTS = 300, BLOCK = 4, MAX_PROMPT = 30 };

typedef struct made_request {
    moe_request request;
    char session[12], model[12];
    uint64_t blocks[MAX_PROMPT];
} made_request;

typedef struct made_trace {
    moe_request_clock clock;
    bool blocks;
    size_t n;
    made_request requests[MAX_REQUESTS];
} made_trace;

static void
make_name(moe_stream *stream, const char *kind, char text[12], moe_request_name *name)
{
    snprintf(text, 12, "%s\"%u", kind, (unsigned)moe_stream_below(stream, 20));
    *name = moe_stream_below(stream, 4) ? (moe_request_name){text, strlen(text)}
                                        : (moe_request_name){NULL, 0};
}

/* Times rise by at least one nanosecond, so that there is one order. */
static made_trace *
make(uint64_t seed)
{
    moe_stream stream = moe_stream_new(seed, "requests", 0);
    made_trace *trace = g_new0(made_trace, 1);
    trace->clock = moe_stream_below(&stream, 2) ? MOE_CLOCK_UNIX : MOE_CLOCK_TRACE;
    trace->blocks = moe_stream_below(&stream, 3) > 0;
    trace->n = 1 + (size_t)moe_stream_below(&stream, MAX_REQUESTS);
    bool sessions = moe_stream_below(&stream, 3) > 0, models = moe_stream_below(&stream, 3) > 0;
    int64_t time = (int64_t)moe_stream_below(&stream, 1000000) * 1000000007;
    for (size_t i = 0; i < trace->n; i++) {
        made_request *m = &trace->requests[i];
        time += 1 + (int64_t)moe_stream_below(&stream, 3000000000);
        m->request.time_ns = time;
        m->request.prompt = 1 + (uint32_t)moe_stream_below(&stream, MAX_PROMPT);
        m->request.output = 1 + (uint32_t)moe_stream_below(&stream, 100);
        if (sessions)
            make_name(&stream, "s", m->session, &m->request.session);
        if (models)
            make_name(&stream, ", m ", m->model, &m->request.model);
        m->request.blocks = m->blocks;
        bool known = trace->blocks && moe_stream_below(&stream, 8);
        m->request.n_blocks = known ? (m->request.prompt - 1) / BLOCK + 1 : 0;
        for (size_t j = 0; j < m->request.n_blocks; j++)
            m->blocks[j] = moe_stream_below(&stream, 40) * 0x123456789ABCDEFull;
    }
    return trace;
}

/* Built in the given order (NULL: as made); columns above `limit` bytes go to files. */
static moe_requests_file *
build(const made_trace *trace, const uint32_t *order, uint64_t limit)
{
    g_autoptr(GError) error = NULL;
    moe_requests_builder *b = moe_requests_builder_new();
    moe_requests_builder_spill(b, ".", limit);
    moe_requests_builder_clock(b, trace->clock);
    if (trace->blocks)
        moe_requests_builder_blocks(b, BLOCK);
    for (size_t i = 0; i < trace->n; i++)
        moe_requests_builder_add(b, &trace->requests[order ? order[i] : i].request);
    moe_requests_file *file = moe_requests_builder_finish(b, "made", &error);
    MOE_CHECK(file != NULL, "%s", error ? error->message : "");
    return file;
}

static GString *
csv_of(const moe_requests_file *file, uint64_t from, uint64_t to)
{
    GString *text = g_string_new(NULL);
    moe_requests_csv(moe_requests_get(file), from, to, text);
    return text;
}

static bool
same_text(const moe_requests_file *file, const GString *wanted)
{
    if (!file)
        return false;
    g_autoptr(GString) got = csv_of(file, 0, moe_requests_get(file)->n);
    return strcmp(got->str, wanted->str) == 0;
}

static moe_requests_file *
imported(const moe_import_bytes *memory, size_t n, bool sort)
{
    static const char *const names[] = {"a.csv", "b.csv"};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_import_options options = {.sort = sort, .scratch = ".", .scratch_above = 64};
    moe_import_job job = {.paths = names,
                          .n_paths = n,
                          .memory = memory,
                          .options = &options,
                          .diag = diag,
                          .error = &error};
    moe_requests_builder *b = moe_import_requests(&moe_importer_requests_csv, &job);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(b != NULL, "%s", messages);
    return b ? moe_requests_builder_finish(b, "imported", &error) : NULL;
}

static void
shuffle(uint32_t *order, size_t n, uint64_t seed)
{
    moe_stream stream = moe_stream_new(seed, "shuffle", 0);
    for (size_t i = 0; i < n; i++) {
        size_t j = (size_t)moe_stream_below(&stream, i + 1);
        order[i] = order[j];
        order[j] = (uint32_t)i;
    }
}

static void
one_trace_from_any_order(void)
{
    for (uint64_t seed = 0; seed < TRACES; seed++) {
        g_autofree made_trace *trace = make(seed);
        g_autofree uint32_t *order = g_new(uint32_t, trace->n);
        shuffle(order, trace->n, seed);
        g_autoptr(moe_requests_file) plain = build(trace, NULL, 0);
        g_autoptr(moe_requests_file) spilled = build(trace, NULL, 64);
        g_autoptr(moe_requests_file) shuffled = build(trace, order, 64);
        g_autoptr(GString) text = csv_of(plain, 0, trace->n);
        MOE_CHECK(same_text(spilled, text), "seed %" G_GUINT64_FORMAT ": through files", seed);
        MOE_CHECK(same_text(shuffled, text), "seed %" G_GUINT64_FORMAT ": shuffled", seed);
        const moe_requests *a = moe_requests_get(plain), *b = moe_requests_get(shuffled);
        CU_ASSERT_EQUAL(a->n_blocks, b->n_blocks);
        CU_ASSERT_EQUAL(a->n_sessions, b->n_sessions);
    }
}

static void
one_trace_through_csv(void)
{
    for (uint64_t seed = 0; seed < TRACES; seed++) {
        g_autofree made_trace *trace = make(seed);
        g_autoptr(moe_requests_file) file = build(trace, NULL, 0);
        g_autoptr(GString) text = csv_of(file, 0, trace->n);
        moe_import_bytes whole = {text->str, text->len};
        g_autoptr(moe_requests_file) again = imported(&whole, 1, false);
        MOE_CHECK(same_text(again, text), "seed %" G_GUINT64_FORMAT ": %s", seed, text->str);
        if (trace->n < 2)
            continue;
        g_autoptr(GString) front = csv_of(file, 0, trace->n / 2);
        g_autoptr(GString) back = csv_of(file, trace->n / 2, trace->n);
        moe_import_bytes parts[] = {{front->str, front->len}, {back->str, back->len}};
        moe_import_bytes turned[] = {parts[1], parts[0]};
        g_autoptr(moe_requests_file) joined = imported(parts, 2, false);
        g_autoptr(moe_requests_file) sorted = imported(turned, 2, true);
        MOE_CHECK(same_text(joined, text), "seed %" G_GUINT64_FORMAT ": in two parts", seed);
        MOE_CHECK(same_text(sorted, text), "seed %" G_GUINT64_FORMAT ": in turned parts", seed);
    }
}

MOE_TESTS({"one trace from any order", one_trace_from_any_order},
          {"one trace through CSV", one_trace_through_csv})
