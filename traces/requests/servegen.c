/* ServeGen (github.com/alibaba/ServeGen; Xiang et al., NSDI 2026) describes clients, it does not
 * list requests: for each window of time a client's rate and the family of the gaps between its
 * arrivals, and beside it the distributions of its lengths. Requests are drawn from that.
 *
 * A window of rate r and length w gets r x w arrivals (a fraction is rounded up with that chance),
 * placed by gaps of the family's shape that are stretched to fill the window, as ServeGen does: the
 * fitted scale alone would miss the rate. Prompts and outputs are drawn independently of each other
 * (ServeGen's own program uses one random number for both). Several clients are merged by time.
 * Every client, window and purpose has a random stream of its own. */
#include "traces/requests/lengths.h"
#include "traces/requests/renewal.h"
#include "traces/requests/timestamp.h"

#include "sim/base/decimal.h"
#include "traces/csv_fields.h"

#include <math.h>
#include <string.h>

#define SERVEGEN_WINDOW 600 /* seconds; of a client of one window */
#define SERVEGEN_MAX_LINE (1u << 16)
#define SERVEGEN_MAX_LENGTHS (1u << 30)
#define SERVEGEN_MAX_ARRIVALS 1000000.0 /* in one window */
#define SERVEGEN_MAX_ERRORS 20
#define SERVEGEN_LAYOUT "t_s,rate_per_s,cv,Gamma or Weibull,shape,scale"

typedef struct servegen_window {
    uint64_t second, length;
    double rate, shape; /* rate 0: idle */
    moe_gap_family family;
} servegen_window;

typedef struct servegen_import {
    const moe_import_job *job;
    moe_requests_builder *builder;
    uint32_t client; /* at hand */
    moe_text_lines lines;
    moe_csv_fields fields;
    GArray *windows; /* of servegen_window */
    request_lengths lengths;
    unsigned errors;
    double *at; /* arrivals of a window */
    size_t max_at;
    uint64_t n_idle, n_windows, n_without_lengths, n_empty;
} servegen_import;

/* ---- the windows of a client ---- */

static bool
servegen_fail(servegen_import *s, uint32_t field, const char *why)
{
    s->errors++;
    return moe_text_lines_fail(&s->lines,
                               field < s->fields.n ? s->fields.fields[field].place : NULL,
                               "%s; a row is " SERVEGEN_LAYOUT, why);
}

/* A finite number >= 0. */
static bool
servegen_number(servegen_import *s, uint32_t field, double *out)
{
    const moe_csv_field *f = &s->fields.fields[field];
    moe_decimal decimal;
    const char *end = moe_decimal_read(f->at, &decimal);
    if (!end || end != f->at + f->n || !moe_decimal_real(&decimal, 0, out))
        return servegen_fail(s, field, "wants a number");
    return *out >= 0 || servegen_fail(s, field, "a negative number");
}

static bool
servegen_family(servegen_import *s, servegen_window *window)
{
    const moe_csv_field *f = &s->fields.fields[3];
    for (int i = 0; i < MOE_GAP_FAMILIES; i++) {
        const char *name = moe_gap_family_names[i];
        if (f->n != strlen(name) || memcmp(f->at, name, f->n) != 0)
            continue;
        window->family = (moe_gap_family)i;
        return true;
    }
    return servegen_fail(s, 3, "wants Gamma, Weibull or nothing");
}

static bool
servegen_row(servegen_import *s)
{
    servegen_window window = {0};
    double second, cv, scale;
    if (!moe_csv_split(&s->fields, &s->lines)) {
        s->errors++;
        return false;
    }
    if (s->fields.n != 6)
        return servegen_fail(s, MOE_NONE, "the row has not six fields");
    if (!servegen_number(s, 0, &second))
        return false;
    if (second != floor(second) || second > 1e9)
        return servegen_fail(s, 0, "wants a whole number of seconds");
    window.second = (uint64_t)second;
    if (s->windows->len &&
        g_array_index(s->windows, servegen_window, s->windows->len - 1).second >= window.second)
        return servegen_fail(s, 0, "windows must be in order of time");
    bool idle = s->fields.fields[3].n == 0;
    if (!idle && (!servegen_number(s, 1, &window.rate) || !servegen_number(s, 2, &cv) ||
                  !servegen_family(s, &window) || !servegen_number(s, 4, &window.shape) ||
                  !servegen_number(s, 5, &scale)))
        return false;
    if (!idle && window.rate > 0 && !(window.shape >= 1e-3 && window.shape <= 1e6))
        return servegen_fail(s, 4, "wants a shape of 0.001 .. 1000000");
    g_array_append_val(s->windows, window);
    return true;
}

/* A window ends where the next begins; the last is as long as the one before. */
static bool
servegen_windows(servegen_import *s, size_t input)
{
    moe_text_source *source = moe_import_open(s->job, input);
    if (!source)
        return false;
    g_array_set_size(s->windows, 0);
    moe_text_lines_init(&s->lines, source, s->job->paths[input], SERVEGEN_MAX_LINE, s->job->diag);
    moe_text_step step;
    while ((step = moe_text_lines_next(&s->lines, s->job->error)) == MOE_TEXT_LINE)
        if (!servegen_row(s) && s->errors >= SERVEGEN_MAX_ERRORS)
            break;
    moe_text_lines_clear(&s->lines);
    if (step != MOE_TEXT_END || s->errors)
        return false;
    servegen_window *w = (servegen_window *)(void *)s->windows->data;
    size_t n = s->windows->len;
    for (size_t i = 0; i + 1 < n; i++)
        w[i].length = w[i + 1].second - w[i].second;
    if (n)
        w[n - 1].length = n > 1 ? w[n - 2].length : SERVEGEN_WINDOW;
    return n > 0 || moe_import_fail(s->job, input, "no windows; a row is " SERVEGEN_LAYOUT);
}

/* ---- its lengths ---- */

/* All of a text, unpacked; false with a message or the job's error. */
static bool
servegen_text(const moe_import_job *job, moe_text_source *source, const char *name, GString *text)
{
    const char *damage = NULL;
    char part[65536];
    size_t n = 1;
    bool ok = source != NULL;
    while (ok && n) {
        ok = moe_text_source_read(source, part, sizeof part, &n, &damage, job->error);
        if (ok)
            g_string_append_len(text, part, (gssize)n);
        if (text->len > SERVEGEN_MAX_LENGTHS) {
            damage = "larger than 1 GiB";
            ok = false;
        }
    }
    if (damage)
        moe_diag_error(job->diag, (moe_loc){.file = moe_diag_intern(job->diag, name)}, "%s",
                       damage);
    moe_text_source_close(source);
    return ok;
}

static bool
servegen_is_lengths(const char *name)
{
    return g_str_has_suffix(name, ".json") || g_str_has_suffix(name, ".json.gz") ||
           g_str_has_suffix(name, ".json.zst");
}

/* "chunk-7-dataset.json" beside "chunk-7-trace.csv". */
static char *
servegen_beside(const char *path)
{
    static const char suffix[] = "-trace.csv";
    if (!g_str_has_suffix(path, suffix))
        return NULL;
    g_autofree char *stem = g_strndup(path, strlen(path) - strlen(suffix));
    return g_strconcat(stem, "-dataset.json", NULL);
}

/* The lengths of the client of input *at: the next input, if it is a .json, or the file beside. */
static bool
servegen_lengths(servegen_import *s, size_t *at)
{
    const moe_import_job *job = s->job;
    g_autoptr(GString) text = g_string_new(NULL);
    request_lengths_clear(&s->lengths);
    if (*at + 1 < job->n_paths && servegen_is_lengths(job->paths[*at + 1])) {
        ++*at;
        return servegen_text(job, moe_import_open(job, *at), job->paths[*at], text) &&
               request_lengths_parse(&s->lengths, job, job->paths[*at], text->str, text->len);
    }
    g_autofree char *beside = servegen_beside(job->paths[*at]);
    if (!beside)
        return moe_import_fail(
            job, *at,
            "no distributions of lengths: name the client's -dataset.json behind "
            "it, or the file NAME-trace.csv with NAME-dataset.json beside it");
    moe_text_source *source = moe_text_source_open(beside, job->error);
    return servegen_text(job, source, beside, text) &&
           request_lengths_parse(&s->lengths, job, beside, text->str, text->len);
}

/* ---- drawing ---- */

static moe_stream
servegen_stream(const servegen_import *s, const char *purpose, size_t window)
{
    return moe_stream_new(s->job->options->seed, purpose, (uint64_t)s->client << 32 | window);
}

static bool
servegen_reserve(servegen_import *s, size_t n)
{
    if (n <= s->max_at)
        return true;
    double *at = g_try_realloc_n(s->at, n, sizeof *at);
    if (!at)
        return moe_import_fail(s->job, 0, "no memory for %zu arrivals in one window", n);
    s->at = at;
    s->max_at = n;
    return true;
}

static bool
servegen_draw(servegen_import *s, size_t i)
{
    const servegen_window *w = &g_array_index(s->windows, servegen_window, i);
    moe_stream arrivals = servegen_stream(s, "servegen.arrival", i);
    moe_stream prompts = servegen_stream(s, "servegen.prompt", i);
    moe_stream outputs = servegen_stream(s, "servegen.output", i);
    double expected = w->rate * (double)w->length;
    if (expected > SERVEGEN_MAX_ARRIVALS)
        return moe_import_fail(s->job, 0,
                               "the window of second %" G_GUINT64_FORMAT
                               " has more than 10^6 arrivals; is the rate per second?",
                               w->second);
    size_t n = (size_t)(expected + moe_stream_unit(&arrivals));
    const request_lengths_window *lengths = request_lengths_at(&s->lengths, w->second);
    s->n_windows++;
    s->n_idle += n == 0;
    if (!lengths) {
        s->n_without_lengths += n;
        return true;
    }
    if (!servegen_reserve(s, n))
        return false;
    moe_renewal_fill(w->family, w->shape, &arrivals, s->at, n);
    double span = (double)w->length * 1e9;
    for (size_t j = 0; j < n; j++) {
        moe_request request = {0};
        request.time_ns = (int64_t)w->second * MOE_NS_PER_S + (int64_t)(span * s->at[j]);
        request.prompt = request_distribution_draw(&lengths->prompt, &prompts);
        request.output = request_distribution_draw(&lengths->output, &outputs);
        if (request.prompt && request.output)
            moe_requests_builder_add(s->builder, &request);
        else
            s->n_empty++;
    }
    return true;
}

static bool
servegen_client(servegen_import *s, size_t *input)
{
    if (servegen_is_lengths(s->job->paths[*input]))
        return moe_import_fail(s->job, *input, "distributions of lengths without a client before");
    bool ok = servegen_windows(s, *input) && servegen_lengths(s, input);
    for (size_t i = 0; ok && i < s->windows->len; i++)
        ok = servegen_draw(s, i);
    s->client++;
    return ok;
}

static bool
servegen_report(const servegen_import *s)
{
    const moe_import_job *job = s->job;
    uint64_t n = moe_requests_builder_count(s->builder);
    moe_import_note(job,
                    "%" G_GUINT64_FORMAT " requests drawn with seed %" G_GUINT64_FORMAT
                    ": %u clients, %" G_GUINT64_FORMAT " windows, %" G_GUINT64_FORMAT
                    " of them idle",
                    n, job->options->seed, s->client, s->n_windows, s->n_idle);
    if (s->n_without_lengths)
        moe_import_note(
            job, "%" G_GUINT64_FORMAT " requests dropped: before the first distribution of lengths",
            s->n_without_lengths);
    if (s->n_empty)
        moe_import_note(job, "%" G_GUINT64_FORMAT " requests of no prompt or no output dropped",
                        s->n_empty);
    return n > 0 || moe_import_fail(job, 0, "no requests");
}

static moe_requests_builder *
servegen_read(moe_import_job *job)
{
    servegen_import s = {.job = job, .builder = moe_import_requests_builder(job)};
    s.windows = g_array_new(FALSE, FALSE, sizeof(servegen_window));
    bool ok = true;
    for (size_t i = 0; ok && i < job->n_paths; i++)
        ok = servegen_client(&s, &i);
    ok = ok && servegen_report(&s);
    g_array_free(s.windows, TRUE);
    g_free(s.at);
    moe_csv_fields_clear(&s.fields);
    request_lengths_clear(&s.lengths);
    if (ok) {
        g_autofree char *seed =
            g_strdup_printf("servegen, seed %" G_GUINT64_FORMAT, job->options->seed);
        moe_requests_builder_meta(s.builder, "drawn", seed);
        return s.builder;
    }
    moe_requests_builder_free(s.builder);
    return NULL;
}

/* No header: a line of six fields of which only the fourth is a word. */
static bool
servegen_is_window(const char *line, size_t n)
{
    g_autofree char *text = g_strndup(line, n);
    g_auto(GStrv) fields = g_strsplit(g_strchomp(text), ",", 8);
    if (g_strv_length(fields) != 6)
        return false;
    for (int i = 0; i < 6; i++)
        if (i != 3 && (!*fields[i] || fields[i][strspn(fields[i], "0123456789.eE+-")]))
            return false;
    return strcmp(fields[3], "Gamma") == 0 || strcmp(fields[3], "Weibull") == 0 || !*fields[3];
}

static int
servegen_sniff(const char *path, const char *head, size_t n)
{
    if (n && head[0] == '{')
        return strstr(head, "\"output_tokens\": \"{") ? 60 : 0;
    const char *end = memchr(head, '\n', n);
    return servegen_is_window(head, end ? (size_t)(end - head) : n) ? 90 : 0;
}

const moe_importer moe_importer_servegen = {
    .name = "servegen",
    .help =
        "ServeGen's clients, from which requests are drawn (--seed): NAME-trace.csv, rows "
        "t_s,rate_per_s,cv,family,shape,scale of a window each, with NAME-dataset.json beside it "
        "or named behind it: distributions of input_tokens and output_tokens.",
    .many = true,
    .sniff = servegen_sniff,
    .requests = servegen_read,
};
