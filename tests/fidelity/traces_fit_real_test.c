/* Routing made from a description of real routing against real routing that the description has not
 * seen: gpt-oss-20b, sequences 0, 2, 4, … of the first 240 fitted, 1, 3, 5, … compared. The bounds
 * are those of traces/README.md plus what fewer sequences cost. */
#include "tests/import.h"
#include "tests/test.h"

#include "traces/synth/compare.h"
#include "traces/synth/describe_fit.h"
#include "traces/synth/description.h"

#define TRACE MOE_SHARED_DATA "/data/routing/gpt-oss-20b"
#define FIRST 240u

/* Sequences that fall into a loop (index.csv calls them repetition) are left out. */
static GHashTable *
read_loops(void)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(TRACE "/index.csv", &text, NULL, NULL))
        return NULL;
    GHashTable *loops = g_hash_table_new(NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 1; lines[i]; i++)
        if (g_str_has_suffix(g_strchomp(lines[i]), ",True"))
            g_hash_table_add(loops, GUINT_TO_POINTER(1 + g_ascii_strtoull(lines[i], NULL, 10)));
    return loops;
}

static moe_routing_file *
made(const moe_pick *pick)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) text = g_string_new(NULL);
    moe_fit_config config = {.tokens = 20000, .rounds = 4};
    moe_routing_builder *builder = NULL;
    if (moe_describe_fit(pick, &config, NULL, NULL, diag, text)) {
        g_autoptr(moe_description) description =
            moe_description_parse("fitted", text->str, text->len, diag);
        if (description)
            builder = moe_generate(moe_description_config(description), (moe_loc){0}, diag);
    }
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(builder, "%s", messages);
    return builder ? moe_routing_builder_finish(builder, "made") : NULL;
}

/* Largest distance per statistic. */
static const struct {
    const char *name;
    double most;
} bounds[] = {
    {"popularity", 0.10},
    {"overlap", 0.03},
    {"affinity mass", 0.09},
    {"coverage, decode", 0.05},
    {"coverage, consecutive", 0.045},
    {"misses of LRU, layer", 0.03},
    {"misses of Belady, layer", 0.02},
    {"misses of LRU, model", 0.035},
    {"misses of Belady, model", 0.025},
};

static void
check(const moe_pick *real, const moe_routing *routing)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_pick all = moe_pick_all(routing);
    g_autoptr(GArray) rows = moe_compare(real, &all, diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rows);
    for (size_t b = 0; b < G_N_ELEMENTS(bounds); b++) {
        const moe_compared *far = NULL;
        for (size_t i = 0; i < rows->len; i++) {
            const moe_compared *row = &g_array_index(rows, moe_compared, i);
            if (!strcmp(row->name, bounds[b].name) && (!far || row->distance > far->distance))
                far = row;
        }
        CU_ASSERT_PTR_NOT_NULL_FATAL(far);
        printf("\n    %-24s %-10s real %.4f made %.4f distance %.4f, at most %.3f", far->name,
               far->parameter, far->first, far->second, far->distance, bounds[b].most);
        MOE_CHECK(far->distance <= bounds[b].most, "%s", far->name);
    }
}

static void
held_back(void)
{
    GHashTable *loops = read_loops();
    g_autoptr(GDir) folder = g_dir_open(TRACE, 0, NULL);
    if (!loops || !folder) {
        moe_test_skip("no gpt-oss-20b trace in " MOE_SHARED_DATA);
        return;
    }
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_routing_builder *builder =
        import_file(&moe_importer_csv, TRACE "/gptoss20b_decode_all.csv.gz", diag, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(builder);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "gpt-oss-20b");
    const moe_routing *routing = moe_routing_get(file);
    uint32_t sequences[2][FIRST], n[2] = {0}, kept = 0;
    for (uint32_t s = 0; s < routing->n_sequences && kept < FIRST; s++) {
        if (g_hash_table_contains(loops, GUINT_TO_POINTER(1 + routing->sequence_ids[s])))
            continue;
        sequences[kept % 2][n[kept % 2]++] = s;
        kept++;
    }
    g_hash_table_destroy(loops);
    moe_pick fit = {.routing = routing, .sequences = sequences[0], .n = n[0]};
    moe_pick held = {.routing = routing, .sequences = sequences[1], .n = n[1]};
    g_autoptr(moe_routing_file) second = made(&fit);
    if (second)
        check(&held, moe_routing_get(second));
}

MOE_TESTS({"held back", held_back})
