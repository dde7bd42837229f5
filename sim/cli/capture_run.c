/* The run of moesim capture: steps, a line of progress, writes of what is there, the report. */
#include "sim/base/hash.h"
#include "sim/cli/capture_backend.h"
#include "sim/cli/capture_offload.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "traces/json_scan.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SAVE_SHARE = 40, SAVE_FIRST_US = 50000, SHOW_US = 200000 };

typedef struct running {
    const moe_capture_job *job;
    moe_capture *capture;
    gint64 began, shown;
    gint64 saved, save_cost; /* us: when what was there was written last, and what that took */
    uint64_t n_saved;        /* tokens written */
} running;

static atomic_int caught_signal;

static void
on_signal(int number)
{
    atomic_store(&caught_signal, number);
}

/* A second one ends the program at once. */
static void
catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- input ---- */

/* Texts, from sequence `first_text` on, are cut to the context anyway; ids only where asked for. */
static int
cut(moe_capture_job *job, size_t first_text)
{
    const moe_capture_values *v = job->values;
    const moe_arch *arch = moe_weights_get(job->weights)->arch;
    g_autoptr(moe_diag) diag = moe_diag_new();
    uint32_t most = v->context ? (uint32_t)v->context : v->text->len ? arch->max_context : 0;
    if (v->context > arch->max_context)
        moe_diag_error(diag, (moe_loc){.file = "--context"},
                       "%" G_GINT64_FORMAT " positions, but the model's context is %u", v->context,
                       arch->max_context);
    else if (most && v->decode >= most)
        moe_diag_error(diag, (moe_loc){.file = "--decode"},
                       "%" G_GINT64_FORMAT " tokens leave no room for a prompt in a context of %u",
                       v->decode, most);
    if (moe_diag_errors(diag))
        return moe_say_diag(diag);
    uint32_t n =
        most ? moe_tokens_cut(job->tokens, v->context ? 0 : first_text, most, (uint32_t)v->decode)
             : 0;
    if (n)
        moe_say("%u of %zu sequences cut to %u positions", n, moe_tokens_count(job->tokens), most);
    return MOE_EXIT_OK;
}

int
moe_capture_read(moe_capture_job *job)
{
    const moe_capture_values *v = job->values;
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    bool ok = true;
    if (v->follow)
        ok &= moe_tokens_read(job->tokens, v->follow, diag, &error);
    for (guint i = 0; i < v->tokens->len && !error; i++)
        ok &= moe_tokens_read(job->tokens, v->tokens->pdata[i], diag, &error);
    size_t first_text = moe_tokens_count(job->tokens);
    if (v->text->len && !error) {
        g_autofree char *tokenizer = g_build_filename(v->model, "tokenizer.json", NULL);
        ok &= moe_tokens_read_texts(job->tokens, tokenizer, (const char *const *)v->text->pdata,
                                    v->text->len, diag, &error);
    }
    moe_tokens_name_rest(job->tokens, "other");
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    return ok ? cut(job, first_text) : code;
}

/* ---- metadata ---- */

static void
meta_domains(const moe_tokens *tokens, moe_routing_builder *builder)
{
    g_autoptr(GString) text = g_string_new("[");
    for (guint i = 0; i < tokens->domains->len; i++) {
        g_string_append(text, i ? "," : "");
        moe_json_put_text(text, tokens->domains->pdata[i]);
    }
    g_string_append_c(text, ']');
    if (tokens->domains->len)
        moe_routing_builder_meta(builder, "domains", text->str);
}

/* The names of the files, without their folders. */
static void
meta_prompts(const moe_tokens *tokens, moe_routing_builder *builder)
{
    enum { SHOWN = 16 };
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < MIN(tokens->paths->len, SHOWN); i++) {
        g_autofree char *name = g_path_get_basename(tokens->paths->pdata[i]);
        g_string_append_printf(text, "%s%s", i ? ", " : "", name);
    }
    if (tokens->paths->len > SHOWN)
        g_string_append_printf(text, ", and %u more", tokens->paths->len - SHOWN);
    moe_routing_builder_meta(builder, "prompts", text->str);
}

static void
meta_model(const moe_capture_job *job, moe_routing_builder *builder)
{
    const moe_capture_values *v = job->values;
    g_autofree char *absolute = g_canonicalize_filename(v->model, NULL);
    g_autofree char *name = g_path_get_basename(absolute);
    g_autofree char *tokenizer = g_build_filename(v->model, "tokenizer.json", NULL);
    g_autofree char *hash = moe_sha256_file(tokenizer, NULL);
    moe_routing_builder_meta(builder, "model", v->name ? v->name : name);
    if (!hash)
        return;
    g_autofree char *text = g_strdup_printf("tokenizer.json, SHA-256 %.16s…", hash);
    moe_routing_builder_meta(builder, "tokenizer", text);
}

/* What the times are of. */
static void
meta_hardware(const moe_capture_job *job, moe_routing_builder *builder)
{
    const moe_capture_config *config = &job->config;
    g_autofree char *text = NULL;
    if (job->gpu) {
        g_autofree char *device = moe_gpu_describe(job->gpu);
        moe_routing_builder_meta(builder, "hardware", device);
        return;
    }
    const char *name =
        g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL) ? strstr(text, "model name") : NULL;
    name = name ? strchr(name, ':') : NULL;
    if (!name)
        return;
    name += strspn(name, ": \t");
    uint32_t threads = config->threads ? config->threads : g_get_num_processors();
    g_autofree char *hardware = g_strdup_printf("%.*s, %u thread%s", (int)strcspn(name, "\n"), name,
                                                threads, threads == 1 ? "" : "s");
    moe_routing_builder_meta(builder, "hardware", hardware);
}

static void
meta(const moe_capture_job *job, moe_routing_builder *builder)
{
    const moe_capture_config *c = &job->config;
    g_autofree char *engine = moe_capture_backend_engine(job);
    g_autofree char *drawn =
        g_strdup_printf("temperature %g, seed %" G_GUINT64_FORMAT, (double)c->temperature, c->seed);
    meta_model(job, builder);
    meta_prompts(job->tokens, builder);
    meta_domains(job->tokens, builder);
    moe_routing_builder_meta(builder, "engine", engine);
    moe_routing_builder_meta(builder, "order", "weight");
    if (c->decode)
        moe_routing_builder_meta(builder, "sampling", c->temperature > 0 ? drawn : "greedy");
    if (c->lookahead)
        moe_routing_builder_meta(builder, "lookahead",
                                 "layer l's norm and gate on what layer l-D's block gets");
    if (c->times)
        meta_hardware(job, builder);
    if (job->values->licence)
        moe_routing_builder_meta(builder, "licence", job->values->licence);
}

/* ---- progress ---- */

static double
per_second(uint64_t n, gint64 us)
{
    return us > 0 ? (double)n * 1e6 / (double)us : 0;
}

/* Seconds to go, by the rates so far. */
static double
to_go(const moe_capture_state *s)
{
    double prompt = per_second(s->prompt_tokens, s->prompt_us);
    double decode = per_second(s->decode_tokens, s->decode_us);
    uint64_t prompts = s->prompt_total - MIN(s->prompt_total, s->prompt_tokens);
    uint64_t decodes = s->decode_total - MIN(s->decode_total, s->decode_tokens);
    decode = decode > 0 ? decode : prompt;
    return prompt > 0 ? (double)prompts / prompt + (double)decodes / decode : 0;
}

static void
show(running *r)
{
    gint64 now = g_get_monotonic_time();
    if (!isatty(STDERR_FILENO) || now - r->shown < SHOW_US)
        return;
    r->shown = now;
    const moe_capture_state *s = moe_capture_get(r->capture);
    uint64_t done = s->prompt_tokens + s->decode_tokens;
    fprintf(stderr,
            "\r%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
            " tokens, %.4g tokens/s, %.0f s to go\x1b[K",
            done, s->prompt_total + s->decode_total, per_second(done, now - r->began), to_go(s));
}

static void
hide(const running *r)
{
    if (r->shown)
        fputs("\r\x1b[K", stderr);
}

/* ---- writing ---- */

/* Writes what is there, all of it or a beginning. */
static bool
save(running *r, bool complete, GError **error)
{
    const moe_capture_state *s = moe_capture_get(r->capture);
    moe_routing_builder *builder = moe_capture_builder(r->capture);
    uint64_t done = s->prompt_tokens + s->decode_tokens;
    g_autofree char *beginning =
        g_strdup_printf("the first %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " tokens", done,
                        s->prompt_total + s->decode_total);
    gint64 began = g_get_monotonic_time();
    moe_routing_builder_meta(builder, "unfinished", complete ? NULL : beginning);
    moe_capture_settle(r->capture);
    bool ok = moe_routing_builder_snapshot(builder, r->job->output, error);
    r->saved = g_get_monotonic_time();
    r->save_cost = r->saved - began;
    if (ok)
        r->n_saved = done;
    return ok;
}

/* At first after twice the time each, so that there is soon something. */
static bool
save_is_due(const running *r)
{
    gint64 since = g_get_monotonic_time() - r->saved;
    gint64 doubled = MAX(r->saved - r->began, SAVE_FIRST_US);
    return since >= MIN(r->job->save_us, doubled) && since >= SAVE_SHARE * r->save_cost;
}

/* ---- report ---- */

static void
report_rates(const moe_capture_state *s)
{
    moe_out("%u sequences: %" G_GUINT64_FORMAT " prompt tokens, %.4g tokens/s", s->sequences,
            s->prompt_tokens, per_second(s->prompt_tokens, s->prompt_us));
    if (s->decode_tokens)
        moe_out("; %" G_GUINT64_FORMAT " decoded, %.4g tokens/s", s->decode_tokens,
                per_second(s->decode_tokens, s->decode_us));
    if (s->sequences_ended)
        moe_out("; %u texts ended", s->sequences_ended);
    moe_out("\n");
}

static void
add_share(moe_grid *grid, double value)
{
    if (isnan(value))
        moe_grid_add(grid, "–");
    else
        moe_grid_addf(grid, "%.3f", value);
}

/* How well each layer was foreseen, and how alike what layers get is. */
static void
report_layers(const running *r, const moe_stack *stack)
{
    uint32_t n = MIN(r->job->config.lookahead, (uint32_t)stack->n_moe - 1), at = 0;
    g_autoptr(moe_grid) grid = moe_grid_new(1 + 2 * n);
    moe_grid_add(grid, "layer");
    for (uint32_t i = 0; i < 2 * n; i++)
        moe_grid_addf(grid, "%s %u", i < n ? "recall" : "similarity", i % n + 1);
    for (int l = 0; l <= stack->n_layers; l++) {
        bool all = l == stack->n_layers;
        if (!all && stack->layers[l].ffn.kind != MOE_FFN_MOE)
            continue;
        uint32_t layer = all ? MOE_NONE : at++;
        if (all)
            moe_grid_add(grid, "all");
        else
            moe_grid_addf(grid, "%d", l);
        for (uint32_t i = 0; i < 2 * n; i++)
            add_share(grid, i < n ? moe_capture_recall(r->capture, i + 1, layer)
                                  : moe_capture_similarity(r->capture, i % n + 1, layer));
    }
    moe_out("what layers foresee of those so many layers on, and how alike what they get is:\n");
    moe_grid_print(grid, true, "  ");
}

static int
report(const running *r, bool complete, GError *error)
{
    const moe_capture_state *s = moe_capture_get(r->capture);
    const moe_arch *arch = moe_weights_get(r->job->weights)->arch;
    const moe_stack *stack = moe_model_decoder(arch->model);
    int code = error ? moe_say_error(error) : MOE_EXIT_OK;
    int number = atomic_load(&caught_signal);
    uint64_t total = s->prompt_total + s->decode_total;
    if (!error) {
        report_rates(s);
        if (!r->job->config.dry && r->job->config.lookahead && stack->n_moe > 1 && s->steps)
            report_layers(r, stack);
        code = moe_capture_offload_report(r->job);
    }
    if (r->n_saved && (error || !complete))
        moe_say("%s%s holds the first %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " tokens",
                error ? "" : "interrupted: ", r->job->output, r->n_saved, total);
    else if (r->n_saved)
        moe_out("%s written\n", r->job->output);
    else if (!complete && !error)
        moe_say("interrupted");
    return error || complete || code ? code : MOE_EXIT_SIGNAL + number;
}

/* ---- the run ---- */

static int
run(running *r)
{
    GError *error = NULL;
    bool more = true, ok = true, dry = r->job->config.dry;
    catch_signals();
    r->began = r->saved = g_get_monotonic_time();
    while (ok && more && !atomic_load(&caught_signal)) {
        ok = moe_capture_step(r->capture, &more, &error);
        show(r);
        if (ok && more && !dry && save_is_due(r))
            ok = save(r, false, &error);
    }
    hide(r);
    if (ok && !dry && moe_capture_get(r->capture)->steps)
        save(r, !more, &error);
    return report(r, !more, error);
}

int
moe_capture_run(moe_capture_job *job)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    running r = {.job = job};
    g_autoptr(moe_capture) capture =
        moe_capture_new(moe_weights_get(job->weights), job->tokens, &job->config, diag, &error);
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (!capture)
        return code;
    r.capture = capture;
    if (!job->config.dry)
        meta(job, moe_capture_builder(capture));
    return run(&r);
}
