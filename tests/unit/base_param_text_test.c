#include "sim/base/param.h"
#include "tests/test.h"
#include "tests/unit/base_param_table.h"

#include <cjson/cJSON.h>

static const char rich[] =
    "name: \"line\\none\"\nmodel: 'm: \"x\"'\nseed: 9\n"
    "workload: {kind: given, recall: 0.9, batch: 8, requests: 64, prompt: all}\n"
    "experts:\n"
    "  cache: {capacity: 1536MiB, scope: model, evict: {kind: s3fifo, small: 0.05}}\n"
    "  prefetch: {kind: window, budget: 8, label: 'a, b', inner: {kind: s3fifo, small: 0.2}}\n"
    "  staging:\n"
    "  - {place: hbm, limits: {capacity: 2GiB}, evict: lfu, bandwidth: 3.35TB/s}\n"
    "  - {place: \"\", evict: {kind: s3fifo, small: 33.3%}}\n"
    "devices: [{kind: s3fifo, small: 3%, rank: 2}, {rank: 1}, {}]\n"
    "units: {size: 2048, latency: 1500us, rate: 1GB/s, flops: 1000TFLOPS, power: 1kW,\n"
    "        scale: -0.5, within: 0.5, strict: false}\n";

static moe_settings *
read_settings(const char *text, GPtrArray *docs)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_yaml_doc *doc = moe_yaml_parse("f", text, strlen(text), diag);
    moe_settings *settings = moe_settings_new(&sample_table);
    if (doc) {
        g_ptr_array_add(docs, doc);
        moe_settings_read(settings, moe_yaml_root(doc), NULL, true, diag);
    }
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(!*said, "%s", said);
    return settings;
}

static char *
canonical(const moe_settings *settings, bool all)
{
    GString *out = g_string_new(NULL);
    moe_settings_canonical(settings, all, out);
    return g_string_free(out, FALSE);
}

static GPtrArray *
new_docs(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)moe_yaml_free);
}

/* Spellings of one value have one text, which reads back as that text. */
static void
has_one_text_per_value(void)
{
    static const struct {
        const char *key, *text, *spellings[5];
    } cases[] = {
        {"seed", "8", {"8", "+8"}},
        {"workload.requests", "all", {"all", "'all'"}},
        {"workload.prompt", "recorded", {"recorded"}},
        {"experts.cache.capacity", "25%", {"25%", "0.25", "25 %", "25.0%", "2500e-4"}},
        {"experts.cache.capacity", "12.5%", {"12.5%", "0.125"}},
        {"experts.cache.capacity", "24GiB", {"24GiB", "24 GiB", "25769803776B", "24576MiB"}},
        {"experts.cache.capacity", "80GB", {"80GB", "80000MB", "80000000000B"}},
        {"experts.cache.capacity", "512MiB", {"0.5GiB", "512MiB", "536870912B"}},
        {"experts.cache.capacity", "12 slots", {"12 slots", "12 slot"}},
        {"experts.cache.capacity", "1 slot", {"1 slots", "1 slot"}},
        {"experts.cache.capacity", "rest", {"rest", "\"rest\""}},
        {"experts.cache.capacity", "0%", {"0", "0%", "0.0"}},
        {"experts.cache.capacity", "1e-07", {"1e-7", "0.00001%"}},
        {"experts.cache.scope", "model", {"model", "'model'"}},
        {"experts.cache.evict", "lfu", {"lfu", "{kind: lfu}"}},
        {"experts.cache.evict", "s3fifo", {"s3fifo", "{kind: s3fifo, small: 0.1}"}},
        {"experts.cache.evict", "{kind: s3fifo, small: 5%}", {"{small: 0.05, kind: s3fifo}"}},
        {"experts.prefetch.kind",
         "{kind: window, budget: 3, inner: {kind: s3fifo, small: 1%}}",
         {"{kind: window, inner: {kind: s3fifo, small: 0.01}, budget: 3}"}},
        {"experts.prefetch",
         "{kind: window, label: \"a, \\\"b\\\"\"}",
         {"{kind: window, label: 'a, \"b\"'}"}},
        {"experts.prefetch",
         "{kind: window, label: \" \\u001B\\u0085\\u2028\\uFEFF \xc3\xa9\"}",
         {"{kind: window, label: \" \\e\\N\\L\\ufeff \\xe9\"}"}},
        {"experts.staging", "[]", {"[]"}},
        {"experts.staging",
         "[{place: a, limits: {capacity: 50%}, evict: {kind: s3fifo, small: 1%}}, {place: \"\"}]",
         {"[{place: a, evict: {kind: s3fifo, small: 0.01}, limits: {capacity: 0.5}}, {}]"}},
        {"devices",
         "[{kind: s3fifo, small: 5%, rank: 3}, {rank: 1}, {kind: lfu}, {}]",
         {"[{rank: 3, kind: s3fifo, small: 0.05}, {rank: 1}, {kind: lfu}, {}]"}},
        {"units.size", "1500B", {"1500", "1500B", "1.5kB"}},
        {"units.size", "1500kB", {"1500kB", "1.5MB"}},
        {"units.size", "1000KiB", {"1000KiB", "1024kB", "1024000"}},
        {"units.latency", "12us", {"12us", "12000ns", "0.012ms"}},
        {"units.latency", "1500us", {"1.5ms", "1500000ns"}},
        {"units.latency", "0s", {"0", "0us", "0s"}},
        {"units.rate", "3.35TB/s", {"3.35TB/s", "3350GB/s", "3.35e12B/s"}},
        {"units.rate", "1.610612736GB/s", {"1.5GiB/s", "1536MiB/s"}},
        {"units.flops", "1.979PFLOPS", {"1979TFLOPS", "1.979PFLOPS", "1979TOPS"}},
        {"units.flops", "0FLOPS", {"0", "0TFLOPS"}},
        {"units.power", "1200W", {"1.2kW", "1200W", "1200000mW"}},
        {"units.power", "0.3W", {"300mW", "0.3W"}},
        {"units.moved", "3.9pJ/bit", {"3.9pJ/bit", "3.9 pJ/bit", "3900fJ/bit", "0.0039nJ/bit"}},
        {"units.moved", "4pJ/bit", {"32pJ/B", "0.032nJ/B"}},
        {"units.moved", "0pJ/bit", {"0", "0pJ/B"}},
        {"units.moved", "unknown", {"unknown", "'unknown'"}},
        {"units.worked", "0.22pJ/FLOP", {"0.22pJ/OP", "220fJ/FLOP"}},
        {"units.worked", "unknown", {"unknown"}},
        {"units.scale", "0.1", {"0.1", "1e-1", "0.10"}},
        {"units.within", "33.3%", {"33.3%", "0.333"}},
        {"units.strict", "false", {"false"}},
        {"name", "a: b", {"'a: b'", "\"a: b\""}},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const char *again = strcmp(cases[i].key, "name") == 0 ? "'a: b'" : cases[i].text;
        for (size_t j = 0; j < MOE_COUNT(cases[i].spellings) + 1; j++) {
            const char *spelling = j < 5 ? cases[i].spellings[j] : again;
            if (!spelling)
                continue;
            g_autoptr(moe_diag) diag = moe_diag_new();
            g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("f", spelling, strlen(spelling), diag);
            g_autoptr(moe_settings) settings = moe_settings_new(&sample_table);
            CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
            moe_settings_set(settings, cases[i].key, moe_yaml_root(doc), diag);
            g_autofree char *said = moe_diag_render(diag);
            g_autofree char *text = moe_settings_text(settings, cases[i].key);
            MOE_CHECK(!*said && strcmp(text, cases[i].text) == 0,
                      "%zu '%s': got '%s', want '%s' %s", i, spelling, text, cases[i].text, said);
        }
    }
    g_autoptr(moe_settings) settings = moe_settings_new(&sample_table);
    CU_ASSERT_PTR_NULL(moe_settings_text(settings, "zebra"));
    CU_ASSERT_PTR_NULL(moe_settings_text(settings, "experts"));
}

static void
lists_what_differs(void)
{
    g_autoptr(GPtrArray) docs = new_docs();
    g_autoptr(moe_settings) plain = read_settings("model: m", docs);
    g_autofree char *little = canonical(plain, false);
    CU_ASSERT_STRING_EQUAL(little, "model=m\n");
    /* Written defaults, names and keys without identity change nothing. */
    g_autoptr(moe_settings) same = read_settings(
        "model: m\nname: other\nseed: 1\nexperts: {cache: {capacity: 0.25, evict: {kind: lru}}}\n"
        "units: {size: 5GiB}",
        docs);
    g_autofree char *equal = canonical(same, false);
    CU_ASSERT_STRING_EQUAL(equal, little);
    g_autoptr(moe_settings) settings = read_settings(rich, docs);
    g_autofree char *text = canonical(settings, false);
    const char *want = "model=m: \"x\"\n"
                       "seed=9\n"
                       "workload.kind=given\n"
                       "workload.recall=90%\n"
                       "workload.batch=8\n"
                       "workload.requests=64\n"
                       "workload.prompt=all\n"
                       "experts.cache.capacity=1536MiB\n"
                       "experts.cache.scope=model\n"
                       "experts.cache.evict=s3fifo\n"
                       "experts.cache.evict.small=5%\n"
                       "experts.prefetch.kind=window\n"
                       "experts.prefetch.budget=8\n"
                       "experts.prefetch.label=a, b\n"
                       "experts.prefetch.inner=s3fifo\n"
                       "experts.prefetch.inner.small=20%\n"
                       "experts.staging=2\n"
                       "experts.staging.0.place=hbm\n"
                       "experts.staging.0.limits.capacity=2GiB\n"
                       "experts.staging.0.evict=lfu\n"
                       "experts.staging.0.bandwidth=3.35TB/s\n"
                       "experts.staging.1.evict=s3fifo\n"
                       "experts.staging.1.evict.small=33.3%\n";
    MOE_CHECK(strcmp(text, want) == 0, "got\n%s", text);
    g_autofree char *all = canonical(settings, true);
    CU_ASSERT_PTR_NOT_NULL(strstr(all, "name=line\\none\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(all, "devices.2.rank=0\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(all, "units.strict=false\n"));
}

/* Each line "key=value" of `all`, set on fresh settings, gives the same lines. */
static void
reads_its_own_text(void)
{
    g_autoptr(GPtrArray) docs = new_docs();
    g_autoptr(moe_settings) settings = read_settings(rich, docs);
    g_autoptr(moe_settings) again = moe_settings_new(&sample_table);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autofree char *all = canonical(settings, true);
    g_auto(GStrv) lines = g_strsplit(all, "\n", -1);
    for (char **line = lines; **line; line++) {
        char *equals = strchr(*line, '=');
        *equals = '\0';
        const char *key = *line;
        bool list = strcmp(key, "experts.staging") == 0 || strcmp(key, "devices") == 0;
        g_autofree char *whole = list ? moe_settings_text(settings, key) : NULL;
        bool text = strcmp(key, "name") == 0 || strcmp(key, "model") == 0 ||
                    g_str_has_suffix(key, "label") || g_str_has_suffix(key, "place");
        g_autofree char *escaped = text ? g_strescape(equals + 1, "\\") : NULL;
        g_autofree char *quoted = text ? g_strdup_printf("\"%s\"", escaped) : NULL;
        const char *value = list ? whole : text ? quoted : equals + 1;
        moe_yaml_doc *doc = moe_yaml_parse(key, value, strlen(value), diag);
        CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
        g_ptr_array_add(docs, doc);
        moe_settings_set(again, key, moe_yaml_root(doc), diag);
    }
    g_autofree char *said = moe_diag_render(diag);
    g_autofree char *twice = canonical(again, true);
    g_autofree char *want = canonical(settings, true);
    MOE_CHECK(!*said && strcmp(want, twice) == 0, "%sgot\n%s", said, twice);
}

static void
copies_deeply(void)
{
    g_autoptr(GPtrArray) docs = new_docs();
    moe_settings *settings = read_settings(rich, docs);
    moe_settings *copy = moe_settings_copy(settings);
    g_autofree char *before = canonical(settings, true);
    g_autoptr(moe_diag) diag = moe_diag_new();
    static const char *const changes[][2] = {
        {"model", "other"},        {"experts.cache.evict", "lru"},
        {"experts.staging", "[]"}, {"experts.prefetch.inner.small", "1%"},
        {"devices.0.small", "4%"}, {"experts.prefetch.label", "z"},
    };
    for (size_t i = 0; i < MOE_COUNT(changes); i++) {
        moe_yaml_doc *doc = moe_yaml_parse("s", changes[i][1], strlen(changes[i][1]), diag);
        g_ptr_array_add(docs, doc);
        moe_settings_set(copy, changes[i][0], moe_yaml_root(doc), diag);
    }
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 0);
    g_autofree char *after = canonical(settings, true);
    g_autofree char *changed = canonical(copy, true);
    CU_ASSERT_STRING_EQUAL(before, after);
    CU_ASSERT_STRING_NOT_EQUAL(before, changed);
    /* A copy outlives its original, and remembers what was written. */
    moe_settings *third = moe_settings_copy(settings);
    moe_settings_free(settings);
    g_autofree char *outlived = canonical(third, true);
    CU_ASSERT_STRING_EQUAL(before, outlived);
    moe_yaml_doc *doc = moe_yaml_parse("s", "next-layer", strlen("next-layer"), diag);
    g_ptr_array_add(docs, doc);
    moe_settings_set(third, "experts.prefetch", moe_yaml_root(doc), diag);
    g_autofree char *budget = moe_settings_text(third, "experts.prefetch.budget");
    CU_ASSERT_STRING_EQUAL(budget, "8");
    size_t n;
    CU_ASSERT_STRING_EQUAL(moe_settings_provenance(third, &n)[0].key,
                           "experts.staging.0.bandwidth");
    moe_settings_free(third);
    moe_settings_free(copy);
}

static void
helps(void)
{
    static const struct {
        const char *key, *part, *closest;
    } cases[] = {
        {"workload.batch",
         "Sequences at once.\n  wants     a whole number\n  unit      tokens\n"
         "  range     1 to 4096\n  default   1\n  identity  yes\n",
         NULL},
        {"experts.cache.scope", "  one of    model, layer\n", NULL},
        {"experts.cache.evict", "  s3fifo: Three queues.\n      small (share, default 10%): Share",
         NULL},
        {"experts.cache.evict.kind", "Who leaves?", NULL},
        {"experts.prefetch.budget", "of prefetch 'window': experts.prefetch.budget\n", NULL},
        {"experts.prefetch.window", "A window of layers.", NULL},
        {"experts.prefetch.inner.small", "Share of the small queue.", NULL},
        {"experts.staging.0.bandwidth", "  or        {value, basis, source, note}\n", NULL},
        {"experts.staging.bandwidth", "experts.staging.*.bandwidth", NULL},
        {"experts.staging.*.evict.small", "  identity  yes\n", NULL},
        {"experts.staging.*", "experts.staging.*.limits.capacity", NULL},
        {"experts", "experts.cache.capacity  What experts may fill.\n", NULL},
        {"devices", "Its number.", NULL},
        {"model", "none, required", NULL},
        {"experts.cache.capcity", NULL, "experts.cache.capacity"},
        {"capacity", NULL, "experts.cache.capacity"},
        {"prefetch", NULL, "experts.prefetch.kind"},
        {"zebra", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const char *closest = NULL;
        g_autofree char *text = moe_param_help(&sample_table, cases[i].key, &closest);
        MOE_CHECK(!text == !cases[i].part && (!text || strstr(text, cases[i].part)), "%zu '%s': %s",
                  i, cases[i].key, text ? text : "NULL");
        MOE_CHECK(g_strcmp0(closest, cases[i].closest) == 0, "%zu '%s': closest '%s'", i,
                  cases[i].key, closest ? closest : "NULL");
    }
    g_autoptr(GString) table = g_string_new(NULL);
    moe_param_markdown(&sample_table, table);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(table->str, "| `workload.batch` | whole number | 1 | 1 to 4096 | Sequences at"));
    CU_ASSERT_PTR_NOT_NULL(strstr(table->str, "| A share \\| of something. |\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(table->str, "| `devices.*.small` (s3fifo) |"));
}

static const cJSON *
json_at(const cJSON *node, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; *part && node; part++)
        node = g_ascii_isdigit(**part) ? cJSON_GetArrayItem(node, **part - (int)'0')
                                       : cJSON_GetObjectItemCaseSensitive(node, *part);
    return node;
}

static void
makes_a_schema(void)
{
    static const struct {
        const char *path, *value;
    } cases[] = {
        {"properties/workload/oneOf/0/enum/1", "\"given\""},
        {"properties/workload/oneOf/1/properties/batch/maximum", "4096"},
        {"properties/workload/oneOf/2/properties/recall/anyOf/0/type", "\"number\""},
        {"properties/workload/oneOf/2/required/0", "\"kind\""},
        {"properties/workload/oneOf/1/required", NULL},
        {"properties/experts/additionalProperties", "false"},
        {"properties/experts/properties/cache/properties/scope/enum/0", "\"model\""},
        {"properties/experts/properties/cache/properties/evict/oneOf/3/properties/kind/const",
         "\"s3fifo\""},
        {"properties/experts/properties/cache/properties/evict/default", "\"lru\""},
        {"properties/experts/properties/staging/maxItems", "3"},
        {"properties/experts/properties/staging/items/required/0", "\"place\""},
        {"properties/experts/properties/staging/items/properties/limits/properties/capacity/"
         "default",
         "\"rest\""},
        {"properties/devices/items/oneOf/2/properties/small/description",
         "\"Share of the small queue.\""},
        {"properties/devices/items/oneOf/2/properties/rank/type", "\"integer\""},
        {"properties/units/properties/size/anyOf/1/properties/basis/enum/0", "\"vendor\""},
        {"properties/units/properties/strict/default", "true"},
        {"properties/units/properties/scale/minimum", "-1"},
        {"additionalProperties", NULL},
    };
    g_autoptr(GString) body = g_string_new("{");
    moe_param_schema(&sample_table, body);
    g_string_append_c(body, '}');
    cJSON *root = cJSON_ParseWithOpts(body->str, NULL, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const cJSON *node = json_at(root, cases[i].path);
        char *text = node ? cJSON_PrintUnformatted(node) : NULL;
        MOE_CHECK(g_strcmp0(text, cases[i].value) == 0, "%zu %s: %s", i, cases[i].path,
                  text ? text : "absent");
        cJSON_free(text);
    }
    /* Patterns accept what the parsers accept, and nothing that they refuse. */
    static const struct {
        const char *path, *text;
        bool ok;
    } texts[] = {
        {"size/anyOf/0/anyOf/1", "24 GiB", true},  {"size/anyOf/0/anyOf/1", "24gib", false},
        {"size/anyOf/0/anyOf/1", "010B", false},   {"latency/anyOf/1", "1.5ms", true},
        {"latency/anyOf/1", "1.5m", false},        {"rate/anyOf/0/anyOf/1", "3.35TB/s", true},
        {"rate/anyOf/0/anyOf/1", "3.35TB", false}, {"flops/anyOf/1", "312TFLOPS", true},
        {"flops/anyOf/1", "312TOPS", true},        {"power/anyOf/1", "1.2kW", true},
        {"moved/anyOf/1", "3.9pJ/bit", true},      {"moved/anyOf/1", "31.2 pJ/B", true},
        {"moved/anyOf/1", "unknown", true},        {"moved/anyOf/1", "3.9pJ/FLOP", false},
        {"worked/anyOf/1", "220fJ/OP", true},      {"worked/anyOf/1", "0.2pJ/bit", false},
        {"within/anyOf/1", "25%", true},           {"within/anyOf/1", "25", false},
    };
    const cJSON *units = json_at(root, "properties/units/properties");
    for (size_t i = 0; i < MOE_COUNT(texts); i++) {
        const cJSON *type = json_at(units, texts[i].path);
        const char *pattern = cJSON_GetStringValue(json_at(type, "pattern"));
        CU_ASSERT_PTR_NOT_NULL_FATAL(pattern);
        bool ok = g_regex_match_simple(pattern, texts[i].text, 0, 0);
        MOE_CHECK(ok == texts[i].ok, "%zu '%s' against %s", i, texts[i].text, pattern);
    }
    cJSON_Delete(root);
}

MOE_TESTS({"one text per value", has_one_text_per_value}, {"what differs", lists_what_differs},
          {"text reads back", reads_its_own_text}, {"copies", copies_deeply}, {"help", helps},
          {"schema", makes_a_schema})
