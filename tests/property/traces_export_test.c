/* What was exported and imported again is what it was: random routing through every format that
 * holds it; and the accesses for cache simulators, read back. */
#include "tests/import.h"
#include "tests/test.h"

#include "sim/base/random.h"
#include "traces/export/export.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* A row as routers make them; kinds of rows that a format cannot hold are left out. */
static void
fill_row(moe_stream *stream, uint32_t n_experts, uint32_t k, bool special, uint16_t *ids)
{
    uint64_t kind = special ? moe_stream_below(stream, 8) : 7;
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

/* Any F32 that is no weight's business to be: of all sizes, both signs. */
static float
any_real(moe_stream *stream)
{
    uint32_t bits = (uint32_t)moe_stream_next(stream);
    float value;
    if ((bits & 0x7F800000) == 0x7F800000)
        bits &= ~0x40000000u;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static moe_routing_file *
made(uint64_t seed, bool plain)
{
    static const uint32_t experts[] = {1, 2, 8, 254, 255, 300, 65534};
    moe_stream stream = moe_stream_new(seed, "export", plain);
    uint32_t n_experts = experts[moe_stream_below(&stream, G_N_ELEMENTS(experts))];
    uint32_t n_layers = 1 + (uint32_t)moe_stream_below(&stream, 6);
    uint32_t k = 1 + (uint32_t)moe_stream_below(&stream, MIN(n_experts, 6));
    uint32_t n_tokens = 1 + (uint32_t)moe_stream_below(&stream, 120), layer_ids[6];
    bool weighted = moe_stream_below(&stream, 2), labelled = moe_stream_below(&stream, 2);
    bool mixed = !plain && moe_stream_below(&stream, 2);
    moe_routing_builder *b = moe_routing_builder_new(n_layers, n_experts, k);
    for (uint32_t i = 0; i < n_layers; i++)
        layer_ids[i] = plain ? i : i * 3 + (uint32_t)(seed % 2);
    moe_routing_builder_layers(b, layer_ids);
    g_autofree uint16_t *ids = g_new(uint16_t, n_layers * k);
    g_autofree float *weights = g_new(float, n_layers *k);
    for (uint32_t i = 0; i < n_tokens; i++) {
        for (uint32_t l = 0; l < n_layers; l++)
            fill_row(&stream, n_experts, k, !plain, ids + l * k);
        for (uint32_t j = 0; j < n_layers * k; j++)
            weights[j] = ids[j] < MOE_ROUTING_NOT_RUN ? any_real(&stream) : 0;
        uint32_t sequence = plain   ? 0
                            : mixed ? (uint32_t)moe_stream_below(&stream, 5) * 77
                                    : i / 40;
        moe_routing_builder_add(b, sequence, mixed && seed % 3 == 0 ? 10000 - i : i,
                                plain || i % 3 ? MOE_DECODE : MOE_PREFILL, ids,
                                weighted ? weights : NULL);
        if (labelled) {
            moe_routing_builder_step(b, i / 7);
            moe_routing_builder_token_id(b, i * 1000003u);
            moe_routing_builder_domain(b, i == 0 ? 0 : (uint16_t)moe_stream_below(&stream, 2));
        }
    }
    if (labelled)
        moe_routing_builder_meta(b, "domains", "[\"c\\\"ode\",\"pr\\u00F6se\"]");
    if (seed % 2)
        moe_routing_builder_meta(b, "counterfactual", "tr\"ue");
    return moe_routing_builder_finish(b, "made");
}

/* Parts that a format holds. */
typedef struct held_parts {
    bool weights, labels, sequences;
} held_parts;

static unsigned
differences(const moe_routing *a, const moe_routing *b, held_parts held)
{
    if (a->n_tokens != b->n_tokens || a->n_layers != b->n_layers || a->k != b->k)
        return 1;
    unsigned n = a->n_experts != b->n_experts && held.sequences;
    n += held.weights && !a->weights != !b->weights;
    n += held.labels && (!a->step != !b->step || !a->domain != !b->domain);
    for (uint64_t row = 0; row < a->n_tokens && !n; row++) {
        n += held.sequences &&
             (a->sequence[row] != b->sequence[row] || a->position[row] != b->position[row] ||
              a->phase[row] != b->phase[row]);
        n += held.labels && a->step && a->step[row] != b->step[row];
        n += held.labels && a->token_id && a->token_id[row] != b->token_id[row];
        n += held.labels && a->domain &&
             strcmp(a->domain_names[a->domain[row]], b->domain_names[b->domain[row]]) != 0;
        for (uint32_t i = 0; i < a->n_layers * a->k; i++) {
            size_t at = (size_t)row * a->n_layers * a->k + i;
            n += moe_routing_id(a, row, i / a->k, i % a->k) !=
                 moe_routing_id(b, row, i / a->k, i % a->k);
            n += held.weights && a->weights && a->weights[at] != b->weights[at];
        }
    }
    for (uint32_t i = 0; i < a->n_layers; i++)
        n += a->layer_ids[i] != b->layer_ids[i];
    return n;
}

static char *
temporary(const char *suffix)
{
    return g_strdup_printf("%s/moesim-export-%d%s", g_get_tmp_dir(), (int)getpid(), suffix);
}

/* Exported, imported, exported again: the same routing, and the same bytes. */
static void
round_trip(const moe_exporter *exporter, const moe_importer *importer, uint64_t seed, bool plain,
           held_parts held)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_routing_file) file = made(seed, plain), back = NULL;
    const moe_routing *r = moe_routing_get(file);
    g_autofree char *path = temporary(exporter->suffix), *first = NULL, *second = NULL;
    gsize n_first = 0, n_second = 0;
    CU_ASSERT_TRUE_FATAL(moe_export(exporter, file, path, NULL, NULL, NULL, &error));
    CU_ASSERT_TRUE_FATAL(g_file_get_contents(path, &first, &n_first, NULL));
    bool csv = strcmp(exporter->name, "csv") == 0;
    moe_import_options options = {.experts = r->n_experts, .top_k = csv ? r->k : 0};
    moe_routing_builder *builder =
        import_memory(importer, path, first, n_first, &options, diag, NULL, &error);
    g_autofree char *text = moe_diag_render(diag);
    MOE_CHECK(builder != NULL, "%s, seed %d: %s", exporter->name, (int)seed, text);
    back = builder ? moe_routing_builder_finish(builder, path) : NULL;
    if (back) {
        MOE_CHECK(differences(r, moe_routing_get(back), held) == 0, "%s, seed %d", exporter->name,
                  (int)seed);
        CU_ASSERT_TRUE(moe_export(exporter, back, path, NULL, NULL, NULL, &error));
        CU_ASSERT_TRUE(g_file_get_contents(path, &second, &n_second, NULL));
        /* the first line of jsonl is metadata, and the import may have learnt the order of ids */
        const char *a = exporter->meta ? strchr(first, '\n') : first;
        const char *b = exporter->meta ? strchr(second, '\n') : second;
        MOE_CHECK(a && b && first + n_first - a == second + n_second - b &&
                      memcmp(a, b, (size_t)(first + n_first - a)) == 0,
                  "%s, seed %d: other bytes", exporter->name, (int)seed);
        MOE_CHECK(!exporter->meta || g_strcmp0(moe_routing_meta(file, "counterfactual"),
                                               moe_routing_meta(back, "counterfactual")) == 0,
                  "%s, seed %d: other metadata", exporter->name, (int)seed);
    }
    g_unlink(path);
}

static void
identity(void)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        round_trip(&moe_exporter_csv, &moe_importer_csv, seed, false,
                   (held_parts){.weights = true, .sequences = true});
        round_trip(&moe_exporter_jsonl, &moe_importer_jsonl, seed, false,
                   (held_parts){.weights = true, .sequences = true, .labels = true});
    }
}

static void
npy_identity(void)
{
    for (uint64_t seed = 0; seed < 60; seed++)
        round_trip(&moe_exporter_npy, &moe_importer_npy, seed, true,
                   (held_parts){.weights = false});
}

/* Records in the order of the replay; each says where its object comes next. */
static void
accesses(void)
{
    g_autofree char *path = temporary(".oracleGeneral");
    for (uint64_t seed = 0; seed < 60; seed++) {
        g_autoptr(moe_routing_file) file = made(seed, false);
        const moe_routing *r = moe_routing_get(file);
        g_autofree char *bytes = NULL;
        gsize n;
        CU_ASSERT_TRUE_FATAL(
            moe_export(&moe_exporter_oracle_general, file, path, NULL, NULL, NULL, NULL));
        CU_ASSERT_TRUE_FATAL(g_file_get_contents(path, &bytes, &n, NULL));
        size_t count = n / 24, at = 0;
        unsigned wrong = n % 24 != 0;
        g_autofree int64_t *next = g_new0(int64_t, (size_t)r->n_layers * r->n_experts + 1);
        for (uint32_t s = 0, time = 0; s < r->n_sequences; s++) {
            uint64_t length = r->sequence_first[s + 1] - r->sequence_first[s];
            for (uint64_t i = 0; i < length * r->n_layers * r->k; i++) {
                uint64_t row = moe_routing_token(r, s, i / (r->n_layers * r->k));
                uint32_t layer = (uint32_t)(i / r->k % r->n_layers);
                uint32_t id = moe_routing_id(r, row, layer, (uint32_t)(i % r->k)), when, size;
                if (id < MOE_ROUTING_NOT_RUN) {
                    uint64_t object, wanted = (uint64_t)layer * r->n_experts + id;
                    int64_t following;
                    const char *record = bytes + 24 * at++;
                    memcpy(&when, record, 4);
                    memcpy(&object, record + 4, 8);
                    memcpy(&size, record + 12, 4);
                    memcpy(&following, record + 16, 8);
                    wrong += at > count || object != wanted || size != 1 || when != time;
                    wrong += next[wanted] && next[wanted] != (int64_t)at;
                    wrong += following != -1 && following <= (int64_t)at;
                    next[wanted] = following;
                }
                time += (i + 1) % (r->n_layers * r->k) == 0;
            }
        }
        for (size_t i = 0; i < (size_t)r->n_layers * r->n_experts; i++)
            wrong += next[i] > 0;
        MOE_CHECK(wrong == 0 && at == count, "seed %d: %u wrong", (int)seed, wrong);
    }
    g_unlink(path);
}

MOE_TESTS({"identity", identity}, {"npy identity", npy_identity}, {"accesses", accesses})
