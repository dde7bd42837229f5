/* moesim trace replay: the decisions of a run, taken again by the simulator's own cache. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/machine/decided.h"

typedef struct replay_values {
    bool csv;
} replay_values;

static const moe_option options[] = {
    {"csv", 0, MOE_OPTION_FLAG, offsetof(replay_values, csv),
     .help = "Columns layer,hits,late,misses,loads,prefetches,evictions."},
};

enum { COUNTS = 6 };
static const char *const heading[] = {"layer", "hits",       "late",      "misses",
                                      "loads", "prefetches", "evictions", "hit rate"};

static void
counts_of(const moe_decided_layer *l, uint64_t out[COUNTS])
{
    const uint64_t counts[COUNTS] = {l->hits,  l->late,       l->misses,
                                     l->loads, l->prefetches, l->evictions};
    for (size_t i = 0; i < COUNTS; i++)
        out[i] = counts[i];
}

static void
print_csv(const moe_decided *decided, const moe_routing *routing)
{
    moe_out("layer,hits,late,misses,loads,prefetches,evictions\n");
    for (uint32_t l = 0; l < decided->n_layers; l++) {
        uint64_t counts[COUNTS];
        counts_of(&decided->layers[l], counts);
        moe_out("%u", routing->layer_ids[l]);
        for (size_t i = 0; i < COUNTS; i++)
            moe_out(",%llu", (unsigned long long)counts[i]);
        moe_out("\n");
    }
}

static void
add_row(moe_grid *grid, const uint64_t counts[COUNTS])
{
    uint64_t demands = counts[0] + counts[1] + counts[2];
    for (size_t i = 0; i < COUNTS; i++)
        moe_grid_addf(grid, "%llu", (unsigned long long)counts[i]);
    moe_grid_addf(grid, "%.1f%%",
                  demands ? 100 * (double)(counts[0] + counts[1]) / (double)demands : 0);
}

static void
print_settings(const moe_decided *decided)
{
    static const char *const keys[] = {"capacity", "evict", "predict", "prefetch"};
    const moe_cache *cache = moe_settings_data(decided->cache);
    moe_out("%u slots %s", decided->slots,
            cache->scope == MOE_SCOPE_LAYER ? "of each layer" : "of all layers");
    for (size_t i = 0; i < MOE_COUNT(keys); i++) {
        g_autofree char *value = moe_settings_text(decided->cache, keys[i]);
        moe_out(", %s %s", keys[i], value);
    }
    moe_out("\n");
}

static void
print_table(const moe_decided *decided, const moe_routing *routing)
{
    uint64_t sums[COUNTS] = {0};
    g_autoptr(moe_grid) grid = moe_grid_new(MOE_COUNT(heading));
    for (size_t i = 0; i < MOE_COUNT(heading); i++)
        moe_grid_add(grid, heading[i]);
    for (uint32_t l = 0; l < decided->n_layers; l++) {
        uint64_t counts[COUNTS];
        counts_of(&decided->layers[l], counts);
        moe_grid_addf(grid, "%u", routing->layer_ids[l]);
        add_row(grid, counts);
        for (size_t i = 0; i < COUNTS; i++)
            sums[i] += counts[i];
    }
    moe_grid_add(grid, "all");
    add_row(grid, sums);
    print_settings(decided);
    moe_grid_print(grid, true, "  ");
}

static int
replay(const replay_values *values, const char *log_path, const char *trace)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    moe_decided decided = {0};
    g_autoptr(moe_routing_file) file = moe_routing_open(trace, diag, &error);
    g_autoptr(moe_decisions) log = file ? moe_decisions_open(log_path, diag, &error) : NULL;
    bool replayed = log && moe_decided_replay(log, moe_routing_get(file), &decided, diag, &error);
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (!replayed)
        return code;
    if (values->csv)
        print_csv(&decided, moe_routing_get(file));
    else {
        print_table(&decided, moe_routing_get(file));
        moe_out("%llu decisions of %u of %u steps: as the policies take them%s\n",
                (unsigned long long)decided.n_decisions, decided.n_steps, decided.of_steps,
                decided.complete ? ", and the counts are those of the run" : "");
    }
    if (!decided.complete)
        moe_say("%s has no counts at its end: the run did not come to it", log_path);
    moe_decided_clear(&decided);
    return MOE_EXIT_OK;
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    return replay(data, operands[0], operands[1]);
}

const moe_command moe_trace_replay_command = {
    "replay",
    "LOG TRACE",
    2,
    2,
    "Check the decisions of a run with offloaded experts against the simulator's cache.",
    "LOG is what `moesim capture --offload … --decisions LOG` wrote, TRACE the trace of these "
    "tokens.\n"
    "Outcomes, victims and what is wanted must be what the policies say; when prefetches start "
    "and\n"
    "end is taken from the log. The first decision that cannot be is an error.\n"
    "\n"
    "  moesim trace replay run.log run.safetensors\n",
    options,
    MOE_COUNT(options),
    sizeof(replay_values),
    run,
    NULL};
