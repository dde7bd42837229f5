/* Routing traces of random shapes survive writing and opening; damaged ones are refused or hold
 * no id that is out of range. */
#include "tests/test.h"

#include "sim/base/random.h"
#include "traces/routing.h"

#include <glib/gstdio.h>
#include <math.h>
#include <unistd.h>

/* One made-up trace, kept beside the builder's view of it. */
typedef struct truth {
    uint32_t n_tokens, n_layers, n_experts, k, lookahead_k; /* 0: none */
    bool weighted, stepped, labelled;
    uint64_t limit; /* bytes of the builder in memory */
    uint32_t *sequence, *position;
    uint16_t *ids, *predicted;
    float *weights;
} truth;

/* A row as routers make them: different ids, perhaps fewer than k, perhaps not run at all. */
static void
truth_row(moe_stream *stream, uint32_t n_experts, uint32_t k, bool all_kinds, uint16_t *ids)
{
    uint64_t kind = all_kinds ? moe_stream_below(stream, 8) : 7;
    uint32_t n = kind == 0 ? (uint32_t)moe_stream_below(stream, k + 1) : k;
    for (uint32_t j = 0; j < k; j++)
        ids[j] = kind == 1 ? MOE_ROUTING_NOT_RUN : MOE_ROUTING_NO_EXPERT;
    for (uint32_t j = 0; j < n && kind != 1;) {
        uint16_t id = (uint16_t)moe_stream_below(stream, n_experts);
        bool known = false;
        for (uint32_t i = 0; i < j; i++)
            known |= ids[i] == id;
        if (!known)
            ids[j++] = id;
    }
}

static truth
truth_new(uint64_t seed)
{
    static const uint32_t experts[] = {1, 2, 8, 254, 255, 300, 65534};
    moe_stream stream = moe_stream_new(seed, "truth", 0);
    truth t = {.n_tokens = 1 + (uint32_t)moe_stream_below(&stream, 200),
               .n_layers = 1 + (uint32_t)moe_stream_below(&stream, 6),
               .n_experts = experts[moe_stream_below(&stream, G_N_ELEMENTS(experts))]};
    t.k = 1 + (uint32_t)moe_stream_below(&stream, MIN(t.n_experts, 8));
    t.lookahead_k = (uint32_t)moe_stream_below(&stream, MIN(t.n_experts, 8) + 1);
    t.weighted = moe_stream_below(&stream, 2);
    t.stepped = moe_stream_below(&stream, 2);
    t.labelled = moe_stream_below(&stream, 2) && t.n_experts <= 300;
    t.limit = moe_stream_below(&stream, 2) ? 1 + moe_stream_below(&stream, 5000) : 0;
    t.sequence = g_new(uint32_t, t.n_tokens);
    t.position = g_new(uint32_t, t.n_tokens);
    t.ids = g_new(uint16_t, t.n_tokens * t.n_layers * t.k);
    t.weights = g_new(float, t.n_tokens *t.n_layers *t.k);
    t.predicted = g_new(uint16_t, t.n_tokens * t.n_layers * t.lookahead_k + 1);
    bool mixed = moe_stream_below(&stream, 2);
    for (uint32_t i = 0; i < t.n_tokens; i++) {
        t.sequence[i] = mixed ? (uint32_t)moe_stream_below(&stream, 5) * 1000 : i / 50;
        t.position[i] = mixed && moe_stream_below(&stream, 2) ? 100000 - i : i;
    }
    for (uint32_t row = 0; row < t.n_tokens * t.n_layers; row++) {
        truth_row(&stream, t.n_experts, t.k, true, t.ids + row * t.k);
        if (t.lookahead_k)
            truth_row(&stream, t.n_experts, t.lookahead_k, true, t.predicted + row * t.lookahead_k);
    }
    for (uint32_t i = 0; i < t.n_tokens; i += 5) /* tokens that nothing was predicted for */
        memset(t.predicted + i * t.n_layers * t.lookahead_k, 0xFF,
               t.n_layers * t.lookahead_k * sizeof *t.predicted);
    for (uint32_t i = 0; i < t.n_tokens * t.n_layers * t.k; i++)
        t.weights[i] = (float)moe_stream_unit(&stream);
    return t;
}

static void
truth_clear(truth *t)
{
    g_free(t->sequence);
    g_free(t->position);
    g_free(t->ids);
    g_free(t->predicted);
    g_free(t->weights);
}

/* A logit that an F16 holds exactly. */
static float
truth_logit(uint32_t token, uint32_t i)
{
    uint32_t mixed = token * 2654435761u + i * 40503u;
    return mixed % 97 ? (float)((int)(mixed >> 8 & 2047) - 1024) / 64 : -HUGE_VALF;
}

static void
truth_label(const truth *t, moe_routing_builder *b, uint32_t token)
{
    uint32_t n = t->n_layers * t->n_experts;
    g_autofree float *logits = g_new(float, n);
    for (uint32_t i = 0; i < n; i++)
        logits[i] = truth_logit(token, i);
    moe_routing_builder_logits(b, logits);
    moe_routing_builder_domain(b, (uint16_t)(token % 300));
    moe_routing_builder_modality(b, token % 2);
    moe_routing_builder_token_id(b, token * 1000003u);
}

static moe_routing_builder *
truth_build(const truth *t)
{
    moe_routing_builder *b = moe_routing_builder_new(t->n_layers, t->n_experts, t->k);
    moe_routing_builder_spill(b, NULL, t->limit);
    if (t->lookahead_k)
        moe_routing_builder_lookahead(b, 2, t->lookahead_k);
    for (uint32_t i = 0; i < t->n_tokens; i++) {
        size_t at = (size_t)i * t->n_layers;
        moe_routing_builder_add(b, t->sequence[i], t->position[i], i % 3 ? MOE_DECODE : MOE_PREFILL,
                                t->ids + at * t->k, t->weighted ? t->weights + at * t->k : NULL);
        if (t->lookahead_k && i % 5)
            moe_routing_builder_predicted(b, 0, t->predicted + at * t->lookahead_k);
        if (t->stepped)
            moe_routing_builder_step(b, i / 7);
        if (t->labelled)
            truth_label(t, b, i);
    }
    if (t->labelled)
        moe_routing_builder_meta(b, "modalities", "[\"text\", \"im\\u0061ge\"]");
    moe_routing_builder_meta(b, "note", "\"\\ \xC3\xA9\n");
    return b;
}

static unsigned
label_differences(const truth *t, const moe_routing *r)
{
    unsigned n = !r->logits != !t->labelled || !r->domain != !t->labelled ||
                 !r->modality != !t->labelled || !r->token_id != !t->labelled;
    if (n || !t->labelled)
        return n + r->n_domains + r->n_modalities;
    n += r->n_domains != MIN(t->n_tokens, 300) || r->domain_names || r->n_modalities != 2 ||
         strcmp(r->modality_names[1], "image") != 0;
    uint32_t row = t->n_layers * t->n_experts;
    for (uint32_t i = 0; i < t->n_tokens; i++) {
        n += r->domain[i] != i % 300 || r->modality[i] != i % 2;
        n += r->token_id[i] != i * 1000003u;
        for (uint32_t j = 0; j < row; j++)
            n += moe_routing_f16(r->logits[(size_t)i * row + j]) != truth_logit(i, j);
    }
    return n;
}

/* What differs between the truth and the routing: the number of values. */
static unsigned
differences(const truth *t, const moe_routing *r)
{
    unsigned n = r->n_tokens != t->n_tokens || r->n_layers != t->n_layers || r->k != t->k ||
                 r->n_experts != t->n_experts || r->n_lookahead != (t->lookahead_k > 0) ||
                 (r->weights != NULL) != t->weighted || (r->step != NULL) != t->stepped;
    moe_routing predicted = *r;
    n += label_differences(t, r);
    for (uint32_t i = 0; n == 0 && i < t->n_tokens; i++) {
        n += r->sequence[i] != t->sequence[i] || r->position[i] != t->position[i];
        n += r->phase[i] != (i % 3 ? MOE_DECODE : MOE_PREFILL);
        n += r->step && r->step[i] != i / 7;
        for (uint32_t j = 0; j < t->n_layers * t->k; j++) {
            size_t at = (size_t)i * t->n_layers * t->k + j;
            n += moe_routing_id(r, i, j / t->k, j % t->k) != t->ids[at];
            n += r->weights && r->weights[at] != t->weights[at];
        }
        for (uint32_t j = 0; j < t->n_layers * t->lookahead_k; j++) {
            predicted.ids = r->lookahead[0].ids;
            predicted.k = t->lookahead_k;
            n += moe_routing_id(&predicted, i, j / t->lookahead_k, j % t->lookahead_k) !=
                 t->predicted[(size_t)i * t->n_layers * t->lookahead_k + j];
        }
    }
    return n;
}

/* The index visits each row once, sequence by sequence, positions ascending. */
static unsigned
index_faults(const moe_routing *r)
{
    g_autofree uint8_t *seen = g_new0(uint8_t, r->n_tokens);
    unsigned faults = r->sequence_first[r->n_sequences] != r->n_tokens;
    for (uint32_t s = 0; s < r->n_sequences; s++) {
        uint64_t n = r->sequence_first[s + 1] - r->sequence_first[s];
        faults += n == 0;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t row = moe_routing_token(r, s, i);
            faults += row >= r->n_tokens || seen[row]++;
            faults += r->sequence[row] != r->sequence_ids[s];
            faults += i && r->position[row] <= r->position[moe_routing_token(r, s, i - 1)];
        }
    }
    return faults;
}

static char *
temporary(void)
{
    return g_strdup_printf("%s/moesim-property-%d.safetensors", g_get_tmp_dir(), (int)getpid());
}

static void
write_open(void)
{
    g_autofree char *path = temporary();
    for (uint64_t seed = 0; seed < 200; seed++) {
        truth t = truth_new(seed);
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(moe_routing_file) built = moe_routing_builder_finish(truth_build(&t), "built");
        CU_ASSERT_TRUE_FATAL(moe_routing_builder_write(truth_build(&t), path, &error));
        g_autoptr(moe_routing_file) opened = moe_routing_open(path, diag, &error);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(opened != NULL, "seed %d: %s", (int)seed, text);
        const moe_routing_file *both[] = {built, opened};
        for (int i = 0; i < 2 && opened; i++) {
            const moe_routing *r = moe_routing_get(both[i]);
            MOE_CHECK(differences(&t, r) == 0, "seed %d, %s", (int)seed, r->path);
            MOE_CHECK(index_faults(r) == 0, "seed %d, %s", (int)seed, r->path);
            CU_ASSERT_STRING_EQUAL(moe_routing_meta(both[i], "note"), "\"\\ \xC3\xA9\n");
        }
        truth_clear(&t);
    }
    g_unlink(path);
}

/* Ids out of range, or twice in a row, in a routing that was let through. */
static unsigned
row_faults(const moe_routing *r)
{
    unsigned faults = 0;
    uint16_t ids[MOE_ROUTING_MAX_K];
    for (uint64_t row = 0; row < r->n_tokens; row++) {
        faults += r->phase[row] > MOE_DECODE;
        for (uint32_t layer = 0; layer < r->n_layers; layer++) {
            for (uint32_t l = 0; l <= r->n_lookahead; l++) {
                uint32_t n = l ? moe_routing_lookahead_row(r, l - 1, row, layer, ids)
                               : moe_routing_row(r, row, layer, ids);
                for (uint32_t j = 0; j < n; j++) {
                    faults += ids[j] >= r->n_experts;
                    for (uint32_t i = 0; i < j; i++)
                        faults += ids[i] == ids[j];
                }
            }
        }
    }
    return faults;
}

/* Flipped bits, cut ends, doubled and swapped stretches, in the header and in the data. */
static void
damage(moe_stream *stream, uint8_t *bytes, size_t *n)
{
    uint64_t length;
    memcpy(&length, bytes, 8);
    size_t reach = moe_stream_below(stream, 2) ? MIN(*n, 8 + length) : *n;
    for (uint64_t times = 1 + moe_stream_below(stream, 3); times > 0; times--) {
        size_t at = moe_stream_below(stream, reach), other = moe_stream_below(stream, reach);
        size_t span = 1 + moe_stream_below(stream, 8);
        switch (moe_stream_below(stream, 5)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << moe_stream_below(stream, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)moe_stream_next(stream);
            break;
        case 2:
            bytes[at] = (uint8_t)('0' + moe_stream_below(stream, 10));
            break;
        case 3:
            memmove(bytes + at, bytes + other, MIN(span, reach - MAX(at, other)));
            break;
        default:
            *n -= MIN(*n - 8, moe_stream_below(stream, 40));
            reach = MIN(reach, *n);
        }
    }
}

static void
damaged(void)
{
    g_autofree char *path = temporary();
    unsigned opened = 0, refused = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        truth t = truth_new(seed);
        CU_ASSERT_TRUE_FATAL(moe_routing_builder_write(truth_build(&t), path, NULL));
        g_autofree char *good = NULL;
        gsize n_good;
        CU_ASSERT_TRUE_FATAL(g_file_get_contents(path, &good, &n_good, NULL));
        for (uint64_t i = 0; i < 1000; i++) {
            moe_stream stream = moe_stream_new(seed, "damage", i);
            g_autofree uint8_t *bytes = g_memdup2(good, n_good);
            size_t n = n_good;
            damage(&stream, bytes, &n);
            g_autofree uint8_t *exact = g_memdup2(bytes, n); /* so that a sanitizer sees its end */
            g_autoptr(moe_diag) diag = moe_diag_new();
            g_autoptr(moe_routing_file) file = moe_routing_open_memory("x", exact, n, diag);
            bool silent = !file && moe_diag_errors(diag) == 0;
            opened += file != NULL;
            refused += file == NULL;
            unsigned faults = file ? row_faults(moe_routing_get(file)) : 0;
            if (silent || faults)
                MOE_CHECK(false, "seed %d, damage %d: %s, %u faults", (int)seed, (int)i,
                          silent ? "refused without a message" : "opened", faults);
        }
        truth_clear(&t);
    }
    g_unlink(path);
    MOE_CHECK(opened > 100 && refused > 100, "%u opened, %u refused: too one-sided", opened,
              refused);
}

MOE_TESTS({"write, open", write_open}, {"damaged", damaged})
