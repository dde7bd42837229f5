/* The decoder and the CPU backend on a small model made in memory. What they compute is compared
 * with transformers elsewhere (profiler_numerics_test); here is what must hold whatever the
 * weights.
 */
#include "tests/test.h"
#include "tests/unit/profiler_fixture.h"

#include "profiler/cpu/kernels.h"
#include "profiler/decoder.h"
#include "sim/base/error.h"
#include "sim/base/random.h"

#include <glib.h>
#include <math.h>

static moe_decoder_config
plain_config(void)
{
    return (moe_decoder_config){.backend = {.max_rows = 2 * LENGTH,
                                            .max_sequences = 3,
                                            .max_context = 2 * LENGTH,
                                            .threads = 1,
                                            .exact = true}};
}

static moe_decoder *
open_decoder(const fixture *f, const moe_decoder_config *config)
{
    GError *error = NULL;
    moe_decoder *decoder = moe_decoder_new(&f->weights, &moe_backend_cpu, config, &error);
    MOE_CHECK(decoder, "%s", error->message);
    return decoder;
}

/* ---- sequences ---- */

static uint32_t
token_of(uint32_t sequence, uint32_t position)
{
    moe_stream stream = moe_stream_new(sequence, "tokens", position);
    return (uint32_t)moe_stream_below(&stream, VOCAB);
}

typedef struct rows {
    uint32_t n, token[3 * LENGTH], slot[3 * LENGTH], position[3 * LENGTH];
} rows;

static void
add_rows(rows *r, uint32_t sequence, uint32_t slot, uint32_t from, uint32_t to)
{
    for (uint32_t p = from; p < to; p++) {
        r->token[r->n] = token_of(sequence, p);
        r->slot[r->n] = slot;
        r->position[r->n++] = p;
    }
}

/* Runs the rows and keeps all their logits. */
static bool
run(moe_decoder *decoder, const rows *r, float *out, GError **error)
{
    uint32_t all[3 * LENGTH];
    const float *logits;
    moe_batch batch = {r->n, r->token, r->slot, r->position};
    for (uint32_t i = 0; i < r->n; i++)
        all[i] = i;
    if (!moe_decoder_step(decoder, &batch, all, r->n, &logits, error))
        return false;
    memcpy(out, logits, (size_t)r->n * VOCAB * sizeof *out);
    return true;
}

/* Logits of a sequence alone, in one step. */
static float *
logits_alone(const fixture *f, const moe_decoder_config *config, uint32_t sequence)
{
    g_autoptr(moe_decoder) decoder = open_decoder(f, config);
    float *out = g_new0(float, LENGTH *VOCAB);
    rows r = {0};
    add_rows(&r, sequence, 0, 0, LENGTH);
    MOE_CHECK(run(decoder, &r, out, NULL), "a step failed");
    return out;
}

static bool
same_rows(const float *a, const float *b, uint32_t n)
{
    return !memcmp(a, b, (size_t)n * VOCAB * sizeof *a);
}

/* Two sequences side by side, prefilled in parts and then decoded, have the bits of each alone. */
static void
batches(void)
{
    g_autoptr(fixture) f = fixture_new();
    moe_decoder_config config = plain_config();
    g_autofree float *first = logits_alone(f, &config, 1), *second = logits_alone(f, &config, 2);
    g_autofree float *out = g_new(float, 3 * LENGTH * VOCAB);
    g_autoptr(moe_decoder) decoder = open_decoder(f, &config);
    rows r = {0};
    add_rows(&r, 2, 2, 0, 20);
    add_rows(&r, 1, 0, 0, 30);
    MOE_CHECK(run(decoder, &r, out, NULL), "a step failed");
    CU_ASSERT(same_rows(out, second, 20));
    CU_ASSERT(same_rows(out + 20 * VOCAB, first, 30));
    for (uint32_t i = 0; i < 18; i++) {
        r.n = 0;
        add_rows(&r, 1, 0, 30 + i, 31 + i);
        add_rows(&r, 2, 2, 20 + i, 21 + i);
        MOE_CHECK(run(decoder, &r, out, NULL), "a step failed");
        MOE_CHECK(same_rows(out, first + (30 + i) * VOCAB, 1), "row %u", 30 + i);
        MOE_CHECK(same_rows(out + VOCAB, second + (20 + i) * VOCAB, 1), "row %u", 20 + i);
    }
    /* The slot starts anew. */
    r.n = 0;
    add_rows(&r, 2, 0, 0, LENGTH);
    MOE_CHECK(run(decoder, &r, out, NULL), "a step failed");
    CU_ASSERT(same_rows(out, second, LENGTH));
}

/* The windowed layer's cache is a ring of WINDOW + max_rows, gone round many times. */
static void
window(void)
{
    g_autoptr(fixture) f = fixture_new();
    moe_decoder_config config = plain_config();
    g_autofree float *whole = logits_alone(f, &config, 1);
    g_autofree float *out = g_new(float, 3 * LENGTH * VOCAB);
    config.backend.max_rows = 3;
    g_autoptr(moe_decoder) decoder = open_decoder(f, &config);
    for (uint32_t from = 0, n = 1; from < LENGTH; from += n, n = n % 3 + 1) {
        rows r = {0};
        n = MIN(n, LENGTH - from);
        add_rows(&r, 1, 1, from, from + n);
        MOE_CHECK(run(decoder, &r, out, NULL), "a step failed");
        MOE_CHECK(same_rows(out, whole + from * VOCAB, n), "rows %u..", from);
    }
}

/* So many rows that the work is shared out. */
static float *
logits_of_two(const fixture *f, const moe_decoder_config *config)
{
    g_autoptr(moe_decoder) decoder = open_decoder(f, config);
    float *out = g_new0(float, 2 * LENGTH * VOCAB);
    rows r = {0};
    add_rows(&r, 1, 0, 0, LENGTH);
    add_rows(&r, 2, 1, 0, LENGTH);
    MOE_CHECK(run(decoder, &r, out, NULL), "a step failed");
    return out;
}

static void
threads(void)
{
    g_autoptr(fixture) f = fixture_new();
    moe_decoder_config config = plain_config();
    g_autofree float *one = logits_of_two(f, &config);
    config.backend.threads = 3;
    for (int i = 0; i < 20; i++) {
        g_autofree float *three = logits_of_two(f, &config);
        MOE_CHECK(same_rows(one, three, 2 * LENGTH), "run %d", i);
    }
    config.backend.exact = false;
    g_autofree float *fast = logits_of_two(f, &config);
    config.backend.threads = 1;
    g_autofree float *fast_one = logits_of_two(f, &config);
    CU_ASSERT(same_rows(fast, fast_one, 2 * LENGTH));
    for (int i = 0; i < 2 * LENGTH * VOCAB; i++)
        if (!(fabsf(fast[i] - one[i]) <= 1e-4f * (1 + fabsf(one[i]))))
            MOE_CHECK(false, "logit %d: %g, not %g", i, (double)fast[i], (double)one[i]);
}

/* The very bits, which another compiler or machine must give too. */
static void
bits(void)
{
    g_autoptr(fixture) f = fixture_new();
    moe_decoder_config config = plain_config();
    g_autofree float *out = logits_alone(f, &config, 1);
    uint64_t hash = 0;
    for (int i = 0; i < LENGTH * VOCAB; i++) {
        uint32_t word;
        memcpy(&word, &out[i], sizeof word);
        hash = moe_mix64(hash ^ word);
    }
    MOE_CHECK(hash == 0x8d75dd7882553b2e, "%#" G_GINT64_MODIFIER "x", hash);
}

/* ---- observers ---- */

typedef struct seen {
    const fixture *f;
    float hidden[LAYERS][LENGTH * HIDDEN];
    uint16_t ids[LAYERS][LENGTH * TOP_K];
    uint16_t ahead[LAYERS][LAYERS][LENGTH * TOP_K];
    uint32_t n_hidden, n_routed, steps;
    bool fail;
} seen;

static bool
see_hidden(void *context, const moe_batch *batch, uint32_t layer, const float *hidden,
           GError **error)
{
    seen *s = context;
    MOE_CHECK(layer == s->n_hidden % (LAYERS - 1), "layer %u", layer);
    s->n_hidden++;
    memcpy(s->hidden[layer], hidden, batch->n * HIDDEN * sizeof *hidden);
    return true;
}

static bool
see_routed(void *context, const moe_routed *routed, GError **error)
{
    seen *s = context;
    uint32_t layer = routed->layer;
    MOE_CHECK(layer == s->n_routed % (LAYERS - 1) && s->n_hidden == s->n_routed + 1, "layer %u",
              layer);
    s->n_routed++;
    s->steps = routed->step + 1;
    memcpy(s->ids[layer], routed->ids, routed->batch->n * TOP_K * sizeof *routed->ids);
    for (uint32_t d = 1; d <= MOE_DECODER_MAX_LOOKAHEAD; d++) {
        const uint16_t *ahead = routed->lookahead[d - 1];
        bool there = d <= 2 && layer + d < LAYERS - 1;
        MOE_CHECK((ahead != NULL) == there, "layer %u, %u ahead", layer, d);
        if (ahead)
            memcpy(s->ahead[layer][d], ahead, routed->batch->n * TOP_K * sizeof *ahead);
    }
    for (uint32_t i = 0; i < routed->batch->n; i++) {
        float choice[EXPERTS], weights[TOP_K];
        uint16_t ids[TOP_K];
        moe_route(&s->f->arch.router, routed->logits + i * EXPERTS, NULL, choice, ids, weights);
        MOE_CHECK(!memcmp(ids, routed->ids + i * TOP_K, sizeof ids) &&
                      !memcmp(weights, routed->weights + i * TOP_K, sizeof weights),
                  "layer %u, row %u: the logits say something else", layer, i);
    }
    if (s->fail && layer == 1)
        g_set_error(error, MOE_ERROR, MOE_ERROR_FILE, "enough");
    return !(s->fail && layer == 1);
}

/* What the gate of MoE layer `gate` says of a residual stream, worked out here. */
static void
gate_of(const fixture *f, uint32_t gate, const float *hidden, uint16_t *ids)
{
    const moe_layer_weights *w = &f->layer_weights[gate + 1];
    float logits[EXPERTS], choice[EXPERTS], weights[TOP_K];
    double squares = 0;
    for (uint32_t i = 0; i < HIDDEN; i++)
        squares += (double)hidden[i] * hidden[i];
    for (uint32_t e = 0; e < EXPERTS; e++) {
        double sum = 0;
        for (uint32_t i = 0; i < HIDDEN; i++)
            sum += (double)moe_matrix_at(&w->router, e, i) * hidden[i] *
                   (double)moe_matrix_at(&w->ffn_norm, i, 0);
        logits[e] = (float)(sum / sqrt(squares / HIDDEN + 1e-5));
    }
    moe_route(&f->arch.router, logits, NULL, choice, ids, weights);
}

static void
looks_ahead(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autofree seen *s = g_new0(seen, 1);
    moe_decoder_observer observer = {.context = s, .routed = see_routed, .hidden = see_hidden};
    moe_decoder_config config = plain_config();
    g_autofree float *without = logits_alone(f, &config, 1);
    uint32_t differ = 0;
    s->f = f;
    config.lookahead = 2;
    config.observer = &observer;
    g_autofree float *with = logits_alone(f, &config, 1);
    CU_ASSERT(same_rows(without, with, LENGTH));
    CU_ASSERT_EQUAL(s->n_routed, LAYERS - 1);
    for (uint32_t l = 0; l < LAYERS - 1; l++) {
        for (uint32_t i = 0; i < LENGTH; i++) {
            uint16_t ids[TOP_K];
            gate_of(f, l, s->hidden[l] + i * HIDDEN, ids);
            MOE_CHECK(!memcmp(ids, s->ids[l] + i * TOP_K, sizeof ids), "layer %u, row %u", l, i);
            for (uint32_t d = 1; d <= 2 && l + d < LAYERS - 1; d++) {
                gate_of(f, l + d, s->hidden[l] + i * HIDDEN, ids);
                MOE_CHECK(!memcmp(ids, s->ahead[l][d] + i * TOP_K, sizeof ids),
                          "layer %u, row %u, %u ahead", l, i, d);
                differ += memcmp(ids, s->ids[l + d] + i * TOP_K, sizeof ids) != 0;
            }
        }
    }
    MOE_CHECK(differ > 0, "looking ahead is never wrong");
}

static void
observer_fails(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autofree seen *s = g_new0(seen, 1);
    g_autofree float *out = g_new(float, 3 * LENGTH * VOCAB);
    g_autoptr(GError) error = NULL;
    moe_decoder_observer observer = {.context = s, .routed = see_routed, .hidden = see_hidden};
    moe_decoder_config config = plain_config();
    rows r = {0};
    s->f = f;
    s->fail = true;
    config.lookahead = 2;
    config.observer = &observer;
    g_autoptr(moe_decoder) decoder = open_decoder(f, &config);
    add_rows(&r, 1, 0, 0, 4);
    CU_ASSERT_FALSE(run(decoder, &r, out, &error));
    MOE_CHECK(error && !strcmp(error->message, "enough"), "no error");
    CU_ASSERT_EQUAL(s->n_routed, 2);
    /* A sequence can be begun again afterwards. */
    s->fail = false;
    s->n_routed = s->n_hidden = 0;
    CU_ASSERT(run(decoder, &r, out, NULL));
    CU_ASSERT_EQUAL(s->steps, 2);
}

/* ---- sources of experts ---- */

/* Hands out experts two at a time, from the last to the first, from copies of its own. */
typedef struct source {
    const fixture *f;
    moe_dispatch dispatch;
    uint32_t layer, left, begun, ended, fail_at;
    moe_mlp copies[EXPERTS];
    float *copied[EXPERTS * 3];
} source;

static moe_matrix
copy_matrix(const moe_matrix *from, float **owned)
{
    moe_matrix copy = *from;
    copy.data = *owned = g_memdup2(from->data, (gsize)from->rows * from->cols * sizeof(float));
    return copy;
}

static void
drop_copies(source *s)
{
    for (size_t i = 0; i < G_N_ELEMENTS(s->copied); i++)
        g_clear_pointer(&s->copied[i], g_free);
}

static bool
source_begin(void *context, const moe_routed *routed, const moe_dispatch *dispatch, GError **error)
{
    source *s = context;
    uint32_t next = 0;
    s->dispatch = *dispatch;
    s->layer = routed->layer;
    s->left = dispatch->n_experts;
    s->begun++;
    /* Row by row and by falling weight, each expert that is new is the next. */
    bool known[EXPERTS] = {false};
    for (uint32_t i = 0; i < routed->batch->n * TOP_K; i++) {
        if (known[routed->ids[i]])
            continue;
        known[routed->ids[i]] = true;
        MOE_CHECK(next < dispatch->n_experts && dispatch->expert[next] == routed->ids[i],
                  "expert %u is not the one of place %u", routed->ids[i], next);
        next++;
    }
    CU_ASSERT_EQUAL(next, dispatch->n_experts);
    for (uint32_t m = 0; m < next; m++) {
        for (uint32_t e = dispatch->first[m]; e < dispatch->first[m + 1]; e++) {
            const uint16_t *ids = routed->ids + dispatch->row[e] * TOP_K;
            uint32_t k = 0;
            while (k < TOP_K - 1 && ids[k] != dispatch->expert[m])
                k++;
            MOE_CHECK(ids[k] == dispatch->expert[m] &&
                          dispatch->weight[e] == routed->weights[dispatch->row[e] * TOP_K + k],
                      "entry %u", e);
        }
    }
    return true;
}

static bool
source_next(void *context, uint32_t *members, const moe_mlp **weights, uint32_t *n, GError **error)
{
    source *s = context;
    drop_copies(s);
    if (s->fail_at && s->begun == s->fail_at) {
        g_set_error(error, MOE_ERROR, MOE_ERROR_FILE, "gone");
        return false;
    }
    *n = MIN(2, s->left);
    for (uint32_t i = 0; i < *n; i++) {
        members[i] = --s->left;
        const moe_mlp *from =
            &s->f->layer_weights[s->layer + 1].experts[s->dispatch.expert[members[i]]];
        s->copies[i] = (moe_mlp){.gate = copy_matrix(&from->gate, &s->copied[3 * i]),
                                 .up = copy_matrix(&from->up, &s->copied[3 * i + 1]),
                                 .down = copy_matrix(&from->down, &s->copied[3 * i + 2])};
        weights[i] = &s->copies[i];
    }
    return true;
}

static bool
source_end(void *context, GError **error)
{
    source *s = context;
    s->ended++;
    return true;
}

static void
expert_source(void)
{
    g_autoptr(fixture) f = fixture_new();
    source s = {.f = f};
    moe_expert_source from = {&s, source_begin, source_next, source_end};
    moe_decoder_config config = plain_config();
    g_autofree float *mapped = logits_alone(f, &config, 1);
    config.source = &from;
    g_autofree float *waves = logits_alone(f, &config, 1);
    CU_ASSERT(same_rows(mapped, waves, LENGTH));
    CU_ASSERT_EQUAL(s.begun, LAYERS - 1);
    CU_ASSERT_EQUAL(s.ended, 1);

    g_autoptr(GError) error = NULL;
    g_autofree float *out = g_new(float, 3 * LENGTH * VOCAB);
    rows r = {0};
    s = (source){.f = f, .fail_at = 2};
    g_autoptr(moe_decoder) decoder = open_decoder(f, &config);
    add_rows(&r, 1, 0, 0, 4);
    CU_ASSERT_FALSE(run(decoder, &r, out, &error));
    MOE_CHECK(error && !strcmp(error->message, "gone") && !s.ended, "no error");
    drop_copies(&s);
}

/* ---- time and memory ---- */

static void
times(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autofree float *out = g_new(float, 3 * LENGTH * VOCAB);
    for (int timed = 0; timed < 2; timed++) {
        moe_decoder_config config = plain_config();
        rows r = {0};
        config.timed = timed;
        g_autoptr(moe_decoder) decoder = open_decoder(f, &config);
        add_rows(&r, 1, 0, 0, LENGTH);
        CU_ASSERT(run(decoder, &r, out, NULL));
        for (int l = 0; l < LAYERS; l++) {
            for (int stage = 0; stage < MOE_STAGES; stage++) {
                float ns = moe_decoder_times(decoder)[l * MOE_STAGES + stage];
                bool dense = l == 0, there = timed;
                if (stage == MOE_STAGE_EMBED)
                    there &= l == 0;
                else if (stage == MOE_STAGE_UNEMBED)
                    there &= l == LAYERS - 1;
                else if (stage != MOE_STAGE_ATTENTION && stage != MOE_STAGE_COMBINE)
                    there &= !dense;
                MOE_CHECK((ns > 0) == there && ns >= 0, "layer %d, %s: %g", l,
                          moe_stage_names[stage], (double)ns);
            }
        }
    }
}

/* A position more costs its keys and values in every layer without a window, and a score for each
 * thread. */
static void
memory(void)
{
    g_autoptr(fixture) f = fixture_new();
    moe_backend_config config = plain_config().backend;
    config.threads = 2;
    config.max_context = 10240;
    uint64_t before = moe_backend_cpu.memory(&f->weights, &config);
    config.max_context += 1024;
    uint64_t more = moe_backend_cpu.memory(&f->weights, &config) - before;
    CU_ASSERT_EQUAL(more, 1024 * sizeof(float) * (3 * 3 * 2 * KV * DIM + 2));

    g_autoptr(GError) error = NULL;
    moe_decoder_config big = plain_config();
    big.backend.max_context = 4000000000;
    big.backend.max_sequences = 1000000;
    CU_ASSERT_PTR_NULL(moe_decoder_new(&f->weights, &moe_backend_cpu, &big, &error));
    MOE_CHECK(error && error->code == MOE_ERROR_MEMORY, "another error");
    MOE_CHECK(error && strstr(error->message, "1000000 sequences of 4000000000 positions") &&
                  strstr(error->message, "want 2.7 EiB"),
              "%s", error->message);
    /* More than can be counted. */
    big.backend.max_sequences = 4000000000;
    CU_ASSERT_PTR_NULL(moe_decoder_new(&f->weights, &moe_backend_cpu, &big, NULL));
}

MOE_TESTS({"batches", batches}, {"window", window}, {"threads", threads}, {"bits", bits},
          {"looking ahead", looks_ahead}, {"an observer fails", observer_fails},
          {"a source of experts", expert_source}, {"times", times}, {"memory", memory})
