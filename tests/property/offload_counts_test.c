/* Executed and simulated caches, over every eviction policy of the registry: the same counts. What
 * timing decides is compared through the log of decisions. */
#include "sim/policy/policy.h"
#include "tests/property/offload_runs.h"

static char *
simulated(const moe_scenario *scenario, size_t i)
{
    moe_result *result = moe_scenario_simulate(scenario, i, NULL, NULL, NULL);
    GString *counts = g_string_new(NULL), *sums = g_string_new(NULL);
    for (size_t t = 0; t < moe_result_tables(result); t++)
        for (size_t r = 0; r < moe_result_rows(result, t); r++) {
            size_t n;
            const moe_cell *row = moe_result_row(result, t, r, &n);
            if (!strcmp(moe_result_table(result, t), "layer"))
                g_string_append_printf(counts, "%lld: %lld %lld %lld\n", (long long)row[0].integer,
                                       (long long)(row[1].integer + row[2].integer),
                                       (long long)row[3].integer, (long long)row[4].integer);
            if (!strcmp(moe_result_table(result, t), "residency"))
                g_string_append_printf(sums, "%lld fills, %lld evictions\n",
                                       (long long)row[4].integer, (long long)row[6].integer);
        }
    g_string_append(counts, sums->str);
    g_string_free(sums, TRUE);
    moe_result_free(result);
    return g_string_free(counts, FALSE);
}

static char *
names(moe_policy_kind kind)
{
    size_t n;
    const moe_variant *const *all = moe_policy_list(kind, &n);
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%s%s", i ? ", " : "", all[i]->name);
    return g_string_free(out, FALSE);
}

/* The scenario of all untimed combinations, in the order: evict, scope, capacity. */
static moe_scenario *
untimed(const offload_model *model, const char *trace)
{
    g_autofree char *evict = names(MOE_POLICY_EVICT);
    g_autofree char *text =
        g_strdup_printf("model: %s/config.json\n"
                        "hardware: phone-ufs4\n"
                        "routing: {trace: %s, profile: 40%%}\n"
                        "batching: as-captured\n"
                        "store: layer\n"
                        "experts: {home: flash}\n"
                        "sweep:\n"
                        "  experts.cache.evict: [%s]\n"
                        "  experts.cache.scope: [model, layer]\n"
                        "  experts.cache.capacity: [%s, %s, %s]\n",
                        model->folder, trace, evict, capacities[0], capacities[1], capacities[2]);
    g_autofree char *messages = NULL;
    g_autofree char *path = g_build_filename(model->folder, "s.yaml", NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_file_set_contents(path, text, -1, NULL);
    moe_scenario *scenario = moe_scenario_load(path, NULL, 0, false, diag, &error);
    messages = moe_diag_render(diag);
    moe_assert(scenario, "%s%s", messages, error ? error->message : "");
    return scenario;
}

static void
untimed_counts(void)
{
    offload_model model = offload_model_new(1);
    g_autofree char *log = g_build_filename(model.folder, "a.log", NULL);
    g_autofree char *again = g_build_filename(model.folder, "b.log", NULL);
    size_t n_evict;
    const moe_variant *const *evict = moe_policy_list(MOE_POLICY_EVICT, &n_evict);
    for (size_t s = 0; s < MOE_COUNT(scripts); s++) {
        g_autofree char *trace = offload_trace(&model, &scripts[s], "t.safetensors");
        followed f = follow(trace);
        g_autoptr(moe_scenario) scenario = untimed(&model, trace);
        for (size_t i = 0; i < n_evict * 2 * MOE_COUNT(capacities); i++) {
            const char *name = evict[i / 6]->name, *scope = i / 3 % 2 ? "layer" : "model";
            g_autofree char *keys =
                g_strdup_printf("{evict: %s, scope: %s, capacity: %s, profile: 40%%}", name, scope,
                                capacities[i % 3]);
            g_autofree char *ran = execute(&model, &scripts[s], &f, keys, log, NULL);
            g_autofree char *sim = simulated(scenario, i);
            g_autofree char *replay = replayed(log, &f);
            MOE_CHECK(!strcmp(ran, sim), "%s: executed\n%snot as simulated\n%s", keys, ran, sim);
            MOE_CHECK(!*replay, "%s: %s", keys, replay);
            g_autofree char *twice = execute(&model, &scripts[s], &f, keys, again, NULL);
            g_autofree char *one = NULL, *two = NULL;
            g_file_get_contents(log, &one, NULL, NULL);
            g_file_get_contents(again, &two, NULL, NULL);
            MOE_CHECK(!strcmp(one, two), "%s: another log the second time", keys);
        }
        unfollow(&f);
    }
    offload_model_clear(&model);
}

/* Every prefetch policy with every predictor: the log of what timing made of it replays. */
static void
timed_logs(void)
{
    static const char *const evict[] = {"lru", "belady", "arc", "s3fifo"};
    offload_model model = offload_model_new(2);
    g_autofree char *log = g_build_filename(model.folder, "a.log", NULL);
    g_autofree char *trace = offload_trace(&model, &scripts[0], "t.safetensors");
    followed f = follow(trace);
    size_t n_predict, n_prefetch, prefetches = 0;
    const moe_variant *const *predict = moe_policy_list(MOE_POLICY_PREDICT, &n_predict);
    const moe_variant *const *prefetch = moe_policy_list(MOE_POLICY_PREFETCH, &n_prefetch);
    for (size_t i = 0; i < n_predict * n_prefetch * 6; i++) {
        g_autofree char *keys = g_strdup_printf(
            "{evict: %s, scope: %s, capacity: %s, profile: 40%%, predict: %s, prefetch: %s}",
            evict[i % 4], i % 2 ? "layer" : "model", capacities[i % 3],
            predict[i / 6 % n_predict]->name, prefetch[i / 6 / n_predict]->name);
        g_autofree char *ran = execute(&model, &scripts[0], &f, keys, log, NULL);
        g_autofree char *replay = replayed(log, &f), *text = NULL;
        MOE_CHECK(!*replay, "%s: %s", keys, replay);
        g_file_get_contents(log, &text, NULL, NULL);
        prefetches += strstr(text, "\nprefetch ") != NULL;
    }
    MOE_CHECK(prefetches > n_predict * (n_prefetch - 1), "%zu runs prefetch anything", prefetches);
    unfollow(&f);
    offload_model_clear(&model);
}

/* A log that names another victim, outcome, wish or count is found out. */
static void
false_logs(void)
{
    static const struct {
        const char *from, *to, *message;
    } lies[] = {
        {"evict lru", "evict fifo", "the policy evicts"},
        {"slots 12", "slots 13", "the policy evicts none for"},
        {"=hit", "=miss", "is a hit, not a miss"},
        {"\nend\ngate 1 0", "\ngate 1 0", "where step 1, layer 0 is due after an end"},
        {"\nend\ngate 1 0", "\nend\nend\ngate 1 0", "a step ends before"},
        {"\ncount 2", "\ncount 3", "are not due"},
        {"\ncount 0 ", "\ncount 0 1", "in the replay, not 1"},
        {"\nhere", "\noff", "is no prefetch under way"},
    };
    offload_model model = offload_model_new(3);
    g_autofree char *log = g_build_filename(model.folder, "a.log", NULL), *text = NULL;
    g_autofree char *trace = offload_trace(&model, &scripts[0], "t.safetensors");
    followed f = follow(trace);
    g_autofree char *ran =
        execute(&model, &scripts[0], &f, "{evict: lru, capacity: 30%, profile: 40%}", log, NULL);
    g_file_get_contents(log, &text, NULL, NULL);
    for (size_t i = 0; i < MOE_COUNT(lies); i++) {
        g_auto(GStrv) parts = g_strsplit(text, lies[i].from, 2);
        MOE_CHECK(parts[0] && parts[1], "the log has no '%s'", lies[i].from);
        g_autofree char *lie = g_strjoinv(lies[i].to, parts);
        g_file_set_contents(log, lie, -1, NULL);
        g_autofree char *message = replayed(log, &f);
        MOE_CHECK(strstr(message, lies[i].message), "%zu: %s", i, message);
    }
    unfollow(&f);
    offload_model_clear(&model);
}

MOE_TESTS({"untimed counts", untimed_counts}, {"timed logs", timed_logs},
          {"false logs", false_logs})
