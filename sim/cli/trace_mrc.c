/* moesim trace mrc: misses of eviction policies over a trace, without any clock. */
#include "sim/base/units.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/machine/replay.h"
#include "sim/policy/policy.h"

#include <stdatomic.h>

typedef struct mrc_values {
    const char *evict, *slots, *sequences;
    int group, scope, first_fill;
    int64_t jobs;
    bool csv;
} mrc_values;

#define AT(field) offsetof(mrc_values, field)

/* Choices in the order of moe_group, moe_scope and first_fill_hit. */
static const moe_option options[] = {
    {"evict", 'e', MOE_OPTION_TEXT, AT(evict), "A,B,…",
     .help = "Eviction policies (`moesim list policies`); all by default."},
    {"slots", 's', MOE_OPTION_TEXT, AT(slots), "N,M,…",
     .help = "Cache sizes in experts; with --scope layer, of each layer."},
    {"group", 'g', MOE_OPTION_ENUM, AT(group), "GROUP", "access|token-layer|step-layer|token",
     .help = "What is asked for at once: single experts, as generic cache simulators do; the "
             "experts of a token at a layer; of a step at a layer; of a token at all layers. "
             "Default: access."},
    {"scope", 0, MOE_OPTION_ENUM, AT(scope), "SCOPE", "model|layer",
     .help = "One cache for all layers, or one per layer. Default: model."},
    {"first-fill", 0, MOE_OPTION_ENUM, AT(first_fill), "HOW", "miss|hit",
     .help = "Whether filling a free slot counts as a miss. Default: miss."},
    {"sequences", 0, MOE_OPTION_TEXT, AT(sequences), "A..B",
     .help = "Only sequences A, A+1, … B-1 (counted from 0); all by default, as one history."},
    {"jobs", 'j', MOE_OPTION_INT, AT(jobs), "N", NULL, 1, 4096,
     "Replays at a time; by default the number of cores."},
    {"csv", 0, MOE_OPTION_FLAG, AT(csv), .help = "Columns evict,slots,accesses,misses."},
};

/* ---- what is asked for ---- */

typedef struct evict_choice {
    moe_choice choice;
} evict_choice;

static const moe_param evict_rows[] = {
    {"evict", MOE_PARAM_CHOICE, offsetof(evict_choice, choice), "lru",
     .variants = moe_evict_policies, .n_variants = MOE_N_EVICT, .help = "Eviction policy."},
};
static const moe_param_table evict_table = {"mrc", evict_rows, MOE_COUNT(evict_rows),
                                            sizeof(evict_choice)};

typedef struct mrc {
    moe_replay *replay;
    GPtrArray *policies;   /* moe_settings of evict_table */
    GArray *slots;         /* uint32_t */
    uint64_t (*counts)[2]; /* per policy and size: accesses, misses */
    atomic_size_t next;    /* replay to be taken by a thread */
} mrc;

static void
read_policies(mrc *m, const char *text, moe_diag *diag)
{
    g_auto(GStrv) names = g_strsplit(text ? text : "", ",", -1);
    for (size_t i = 0; i < (text ? g_strv_length(names) : MOE_N_EVICT); i++) {
        const char *name = text ? names[i] : moe_evict_policies[i]->name;
        moe_yaml node = {.kind = MOE_YAML_SCALAR, .text = name, .loc = {.file = "--evict"}};
        moe_settings *settings = moe_settings_new(&evict_table);
        g_ptr_array_add(m->policies, settings);
        unsigned before = moe_diag_errors(diag);
        moe_settings_set(settings, "evict", &node, diag);
        if (moe_diag_errors(diag) > before)
            moe_diag_misused(diag);
    }
}

static void
read_slots(mrc *m, const char *text, moe_diag *diag)
{
    g_auto(GStrv) sizes = g_strsplit(text, ",", -1);
    for (size_t i = 0; sizes[i]; i++) {
        int64_t value = 0;
        if (!moe_parse_int(sizes[i], &value) || value < 1 || value >= UINT32_MAX) {
            moe_diag_error(diag, (moe_loc){.file = "--slots"},
                           "wants whole numbers from 1 on, not '%s'", sizes[i]);
            moe_diag_misused(diag);
        }
        uint32_t slots = (uint32_t)value;
        g_array_append_val(m->slots, slots);
    }
}

static void
read_sequences(moe_replay_config *config, const char *text, uint32_t n, moe_diag *diag)
{
    config->from = 0;
    config->to = n;
    if (!text)
        return;
    g_auto(GStrv) ends = g_strsplit(text, "..", 2);
    int64_t from = 0, to = n;
    bool two = g_strv_length(ends) == 2;
    if (!two || (*ends[0] && !moe_parse_int(ends[0], &from)) ||
        (*ends[1] && !moe_parse_int(ends[1], &to))) {
        moe_diag_error(diag, (moe_loc){.file = "--sequences"}, "wants A..B, not '%s'", text);
        moe_diag_misused(diag);
    } else if (from < 0 || to > n || from >= to)
        moe_diag_error(diag, (moe_loc){.file = "--sequences"},
                       "%s: the trace has sequences 0..%u (the end is not included)", text, n);
    config->from = (uint32_t)from;
    config->to = (uint32_t)to;
}

/* ---- doing it ---- */

static void
replay_one(mrc *m, size_t at)
{
    const evict_choice *evict =
        moe_settings_data(g_ptr_array_index(m->policies, at / m->slots->len));
    moe_replay_run(m->replay, evict->choice.variant, evict->choice.config,
                   g_array_index(m->slots, uint32_t, at % m->slots->len), &m->counts[at][0],
                   &m->counts[at][1]);
}

static gpointer
work(gpointer data)
{
    mrc *m = data;
    size_t at;
    while ((at = atomic_fetch_add(&m->next, 1)) < (size_t)m->policies->len * m->slots->len)
        replay_one(m, at);
    return NULL;
}

static void
replay_all(mrc *m, int64_t jobs)
{
    size_t n = (size_t)m->policies->len * m->slots->len;
    m->counts = g_malloc0_n(n, sizeof *m->counts);
    size_t n_threads = MIN(n, jobs ? (size_t)jobs : g_get_num_processors());
    g_autofree GThread **threads = g_new(GThread *, n_threads);
    for (size_t i = 0; i < n_threads; i++)
        threads[i] = g_thread_new("moesim-mrc", work, m);
    for (size_t i = 0; i < n_threads; i++)
        g_thread_join(threads[i]);
}

static const char *
policy_name(const mrc *m, size_t i)
{
    const evict_choice *evict = moe_settings_data(g_ptr_array_index(m->policies, i));
    return evict->choice.variant->name;
}

static void
print_csv(const mrc *m)
{
    moe_out("evict,slots,accesses,misses\n");
    for (size_t i = 0; i < m->policies->len * m->slots->len; i++)
        moe_out("%s,%u,%llu,%llu\n", policy_name(m, i / m->slots->len),
                g_array_index(m->slots, uint32_t, i % m->slots->len),
                (unsigned long long)m->counts[i][0], (unsigned long long)m->counts[i][1]);
}

static void
print_table(const mrc *m)
{
    g_autoptr(moe_grid) grid = moe_grid_new(5);
    static const char *const heading[] = {"evict", "slots", "accesses", "misses", "miss ratio"};
    for (size_t i = 0; i < MOE_COUNT(heading); i++)
        moe_grid_add(grid, heading[i]);
    for (size_t i = 0; i < m->policies->len * m->slots->len; i++) {
        const uint64_t *count = m->counts[i];
        moe_grid_add(grid, policy_name(m, i / m->slots->len));
        moe_grid_addf(grid, "%u", g_array_index(m->slots, uint32_t, i % m->slots->len));
        moe_grid_addf(grid, "%llu", (unsigned long long)count[0]);
        moe_grid_addf(grid, "%llu", (unsigned long long)count[1]);
        moe_grid_addf(grid, "%.4f", count[0] ? (double)count[1] / (double)count[0] : 0);
    }
    moe_grid_print(grid, true, "");
}

static int
replay(mrc *m, const mrc_values *values, const char *path)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    read_policies(m, values->evict, diag);
    read_slots(m, values->slots, diag);
    g_autoptr(moe_routing_file) file = moe_routing_open(path, diag, &error);
    moe_replay_config config = {.group = (moe_group)values->group,
                                .scope = (moe_scope)values->scope,
                                .first_fill_hit = values->first_fill == 1};
    if (file)
        read_sequences(&config, values->sequences, moe_routing_get(file)->n_sequences, diag);
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (code)
        return code;
    m->replay = moe_replay_new(moe_routing_get(file), &config);
    replay_all(m, values->jobs);
    if (values->csv)
        print_csv(m);
    else
        print_table(m);
    moe_replay_free(m->replay);
    return MOE_EXIT_OK;
}

static void
settings_free(gpointer settings)
{
    moe_settings_free(settings);
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const mrc_values *values = data;
    if (!values->slots)
        return moe_say_usage("moesim trace mrc", "'--slots N,M,…' is missing");
    mrc m = {.policies = g_ptr_array_new_with_free_func(settings_free),
             .slots = g_array_new(FALSE, FALSE, sizeof(uint32_t))};
    int code = replay(&m, values, operands[0]);
    g_ptr_array_unref(m.policies);
    g_array_unref(m.slots);
    g_free(m.counts);
    return code;
}

const moe_command moe_trace_mrc_command = {
    "mrc",
    "FILE",
    1,
    1,
    "Count misses of eviction policies by cache size.",
    "  moesim trace mrc traces/samples/quickstart.safetensors --evict lru,belady \\\n"
    "      --slots 32,64,128\n",
    options,
    MOE_COUNT(options),
    sizeof(mrc_values),
    run,
    NULL};
