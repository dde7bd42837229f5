#include "sim/base/param.h"
#include "tests/test.h"
#include "tests/unit/base_param_table.h"

/* Documents must outlive the settings: one bag per test. */
typedef struct bag {
    moe_diag *diag;
    GPtrArray *docs;
    moe_settings *settings;
} bag;

static void
bag_free(bag *b)
{
    moe_settings_free(b->settings);
    g_ptr_array_unref(b->docs);
    moe_diag_free(b->diag);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(bag, bag_free)

static bag
bag_new(void)
{
    return (bag){moe_diag_new(), g_ptr_array_new_with_free_func((GDestroyNotify)moe_yaml_free),
                 moe_settings_new(&sample_table)};
}

static const moe_yaml *
bag_parse(bag *b, const char *text)
{
    moe_yaml_doc *doc = moe_yaml_parse("f", text, strlen(text), b->diag);
    if (!doc) {
        printf("\n    not YAML: %s\n", text);
        abort();
    }
    g_ptr_array_add(b->docs, doc);
    return moe_yaml_root(doc);
}

static bag
bag_read(const char *text)
{
    bag b = bag_new();
    static const char *const skip[] = {"sweep", NULL};
    moe_settings_read(b.settings, bag_parse(&b, text), skip, false, b.diag);
    return b;
}

static void
bag_set(bag *b, const char *key, const char *value)
{
    moe_settings_set(b->settings, key, bag_parse(b, value), b->diag);
}

/* Messages without their source lines, each ending in a newline; yours. */
static char *
bag_messages(bag *b)
{
    g_autofree char *text = moe_diag_render(b->diag);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *out = g_string_new(NULL);
    for (char **line = lines; *line; line++) {
        if (**line && **line != ' ')
            g_string_append_printf(out, "%s\n", *line);
    }
    return g_string_free(out, FALSE);
}

#define CHECK_CLEAN(b)                                                                             \
    do {                                                                                           \
        g_autofree char *said_ = bag_messages(b);                                                  \
        MOE_CHECK(!*said_, "%s", said_);                                                           \
    } while (0)

#define CHECK_TEXT(b, key, want)                                                                   \
    do {                                                                                           \
        g_autofree char *got_ = moe_settings_text((b)->settings, key);                             \
        MOE_CHECK(g_strcmp0(got_, want) == 0, "%s: got '%s'", key, got_ ? got_ : "NULL");          \
    } while (0)

static const sample *
bag_data(bag *b)
{
    return moe_settings_data(b->settings);
}

static void
makes_sense(void)
{
    moe_param_check(&sample_table);
}

static void
fills_defaults(void)
{
    g_auto(bag) b = bag_new();
    const sample *s = bag_data(&b);
    CU_ASSERT(!s->name && !s->model && s->seed == 1 && s->batch == 1);
    CU_ASSERT(s->requests == INT64_MAX && s->prompt == -1);
    CU_ASSERT(s->capacity.kind == MOE_AMOUNT_SHARE && s->capacity.share == 0.25);
    CU_ASSERT(s->scope == 1 && s->strict && s->scale == 1.5 && s->within == 0.15);
    CU_ASSERT(s->size == MOE_GIB && s->latency == 10000000 && s->rate == 64e9);
    CU_ASSERT(s->flops == 312e12 && s->power == 450 && s->moved == -1 && s->worked == 0.5);
    CU_ASSERT(s->evict.variant == &variant_lru && !s->evict.config);
    CU_ASSERT(s->staging.n == 0 && s->devices.n == 0);
}

static void
reads_every_type(void)
{
    g_auto(bag) b = bag_read(
        "name: a name\nmodel: m\nseed: -3\nsweep: {anything: [1]}\n"
        "workload: {batch: 8, requests: 64, prompt: all}\n"
        "experts:\n"
        "  cache: {capacity: 12 slots, scope: model, evict: {kind: s3fifo, small: 5%}}\n"
        "  prefetch: {kind: window, budget: 8, label: wide, inner: {kind: s3fifo, small: 0.2}}\n"
        "  staging:\n"
        "  - {place: hbm, limits: {capacity: 2GiB}, evict: lfu, bandwidth: 3.35TB/s}\n"
        "  - {place: dram}\n"
        "devices: [{kind: s3fifo, small: 3%, rank: 2}, {rank: 1}]\n"
        "units: {size: 2KiB, latency: 1.5ms, rate: 1GB/s, flops: 1PFLOPS, power: 1kW,\n"
        "        scale: -0.5, within: 0.5, strict: false}\n");
    CHECK_CLEAN(&b);
    const sample *s = bag_data(&b);
    CU_ASSERT_STRING_EQUAL(s->name, "a name");
    CU_ASSERT(s->seed == -3 && s->batch == 8 && s->requests == 64 && s->prompt == INT64_MAX);
    CU_ASSERT(s->capacity.kind == MOE_AMOUNT_SLOTS && s->capacity.count == 12 && s->scope == 0);
    CU_ASSERT(s->evict.variant == &variant_s3fifo);
    CU_ASSERT(((const small_config *)s->evict.config)->small == 0.05);
    const window_config *window = s->prefetch.config;
    CU_ASSERT(s->prefetch.variant == &variant_window && window->budget == 8);
    CU_ASSERT_STRING_EQUAL(window->label, "wide");
    CU_ASSERT(((const small_config *)window->inner.config)->small == 0.2);
    const stage *stages = s->staging.items;
    CU_ASSERT_FATAL(s->staging.n == 2);
    CU_ASSERT_STRING_EQUAL(stages[0].place, "hbm");
    CU_ASSERT(stages[0].capacity.kind == MOE_AMOUNT_BYTES &&
              stages[0].capacity.count == 2 * MOE_GIB);
    CU_ASSERT(stages[0].evict.variant == &variant_lfu && stages[0].bandwidth == 3.35e12);
    CU_ASSERT(stages[1].capacity.kind == MOE_AMOUNT_REST && stages[1].bandwidth == 1e9);
    const device *devices = s->devices.items;
    CU_ASSERT_FATAL(s->devices.n == 2);
    CU_ASSERT(devices[0].kind.variant == &variant_s3fifo && devices[0].rank == 2);
    CU_ASSERT(((const small_config *)devices[0].kind.config)->small == 0.03);
    CU_ASSERT(s->size == 2048 && s->latency == 1500000000 && s->power == 1000 && !s->strict);
}

static void
words_errors(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"sede: 7", "f:1:1: error: unknown key 'sede'; did you mean 'seed'?\n"},
        {"zebra: 7", "f:1:1: error: unknown key 'zebra'\n"},
        {"evict: lru", "f:1:1: error: unknown key 'evict'; did you mean 'experts.cache.evict'?\n"},
        {"experts: {cach: {}}", "f:1:11: error: unknown key 'cach'; did you mean 'cache'?\n"},
        {"experts.cache.scope: model",
         "f:1:1: error: unknown key 'experts.cache.scope'; write nested maps, not dotted keys\n"},
        {"experts: [1]", "f:1:10: error: 'experts' wants a map, got a list\n"},
        {"experts: {cache: 5}", "f:1:18: error: 'cache' wants a map, got a scalar\n"},
        {"experts:", "f:1:9: error: 'experts' has no value\n"},
        {"seed:", "f:1:6: error: 'seed' has no value\n"},
        {"[1]", "f:1:1: error: a sample is a map of keys, not a list\n"},
        {"seed: x", "f:1:7: error: 'seed' wants a whole number\n"},
        {"seed: 1.5", "f:1:7: error: 'seed' wants a whole number\n"},
        {"seed: 010", "f:1:7: error: 'seed' wants a whole number\n"},
        {"seed: 9223372036854775808", "f:1:7: error: 'seed' wants a whole number\n"},
        {"seed: '8'", "f:1:7: error: 'seed' wants a whole number without quotes\n"},
        {"seed: [8]", "f:1:7: error: 'seed' wants a whole number, got a list\n"},
        {"seed: {a: 8}", "f:1:7: error: 'seed' wants a whole number, got a map\n"},
        {"name: [x]", "f:1:7: error: 'name' wants a text, got a list\n"},
        {"workload: {batch: 0}", "f:1:19: error: 'batch' must be at least 1, got 0\n"},
        {"workload: {batch: 4097}", "f:1:19: error: 'batch' must be at most 4096, got 4097\n"},
        {"workload: {requests: -1}", "f:1:22: error: 'requests' wants a whole number or 'all'\n"},
        {"workload: {requests: recorded}",
         "f:1:22: error: 'requests' wants a whole number or 'all'\n"},
        {"workload: {prompt: many}",
         "f:1:20: error: 'prompt' wants a whole number, 'all' or 'recorded'\n"},
        {"workload: {prompt: 0}", "f:1:20: error: 'prompt' must be at least 1, got 0\n"},
        {"experts: {cache: {capacity: lots}}",
         "f:1:29: error: 'capacity' wants a size such as 24GiB, or a share such as 25%\n"},
        {"experts: {cache: {capacity: 8}}",
         "f:1:29: error: 'capacity' wants a size such as 24GiB, or a share such as 25%\n"},
        {"experts: {cache: {scope: modle}}",
         "f:1:26: error: unknown scope 'modle'; did you mean 'model'?\n"},
        {"experts: {cache: {scope: world}}",
         "f:1:26: error: unknown scope 'world'; one of: model, layer\n"},
        {"experts: {cache: {evict: lur}}",
         "f:1:26: error: unknown evict policy 'lur'; did you mean 'lru'?\n"},
        {"experts: {cache: {evict: {kind: random}}}",
         "f:1:33: error: unknown evict policy 'random'; one of: lru, lfu, s3fifo\n"},
        {"experts: {cache: {evict: [lru]}}",
         "f:1:26: error: 'evict' wants a name, or a map with 'kind', got a list\n"},
        {"experts: {cache: {evict: {kind: [lru]}}}",
         "f:1:33: error: 'evict' wants a name, or a map with 'kind', got a list\n"},
        {"experts: {cache: {evict: }}", "f:1:26: error: 'evict' has no value\n"},
        {"experts: {prefetch: {kind: none, budget: 2}}",
         "f:1:34: error: unknown key 'budget' of prefetch 'none'; 'next-layer', 'window' have "
         "it\n"},
        {"experts: {prefetch: {budget: 2}}", "f:1:22: error: unknown key 'budget' of prefetch "
                                             "'none'; 'next-layer', 'window' have it\n"},
        {"experts: {prefetch: {kind: next-layer, label: x}}",
         "f:1:40: error: unknown key 'label' of prefetch 'next-layer'; 'window' has it\n"},
        {"experts: {prefetch: {kind: next-layer, budgte: 2}}",
         "f:1:40: error: unknown key 'budgte' of prefetch 'next-layer'; did you mean 'budget'?\n"},
        {"experts: {prefetch: {kind: next-layer, budget: 65}}",
         "f:1:48: error: 'budget' must be at most 64, got 65\n"},
        {"workload: {kind: none, warmup: 2}",
         "f:1:24: error: unknown key 'warmup' of workload 'none'\n"},
        {"experts: {staging: {place: hbm}}", "f:1:20: error: 'staging' wants a list, got a map\n"},
        {"experts: {staging: [5]}",
         "f:1:21: error: 'experts.staging.0' wants a map, got a scalar\n"},
        {"experts: {staging: [{place: a}, {plaec: b}]}",
         "f:1:34: error: unknown key 'plaec'; did you mean 'place'?\n"},
        {"experts: {staging: [{}, {}, {}, {}]}",
         "f:1:20: error: 'staging' must have at most 3 entries, got 4\n"},
        {"units: {size: 1000B}", "f:1:15: error: 'size' must be at least 1KiB, got 1kB\n"},
        {"units: {size: -1}", "f:1:15: error: 'size' wants a size such as 24GiB\n"},
        {"units: {latency: 5}", "f:1:18: error: 'latency' wants a time such as 12us\n"},
        {"units: {latency: 2min}", "f:1:18: error: 'latency' must be at most 1s, got 120s\n"},
        {"units: {rate: 64GB}", "f:1:15: error: 'rate' wants a rate such as 3.35TB/s\n"},
        {"units: {rate: 64kB/s}", "f:1:15: error: 'rate' must be at least 1MB/s, got 64kB/s\n"},
        {"units: {flops: 3}", "f:1:16: error: 'flops' wants a compute rate such as 312TFLOPS\n"},
        {"units: {power: 3}", "f:1:16: error: 'power' wants a power such as 450W\n"},
        {"units: {moved: 3.9}",
         "f:1:16: error: 'moved' wants an energy such as 3.9pJ/bit, or 'unknown'\n"},
        {"units: {moved: 3.9pJ/FLOP}",
         "f:1:16: error: 'moved' wants an energy such as 3.9pJ/bit, or 'unknown'\n"},
        {"units: {moved: -1pJ/bit}",
         "f:1:16: error: 'moved' wants an energy such as 3.9pJ/bit, or 'unknown'\n"},
        {"units: {moved: 9uJ/bit}",
         "f:1:16: error: 'moved' must be at most 1000000pJ/bit, got 9000000pJ/bit\n"},
        {"units: {worked: 1pJ/bit}",
         "f:1:17: error: 'worked' wants an energy such as 0.5pJ/FLOP, or 'unknown'\n"},
        {"units: {scale: .nan}", "f:1:16: error: 'scale' wants a number\n"},
        {"units: {scale: 1e400}", "f:1:16: error: 'scale' wants a number\n"},
        {"units: {scale: 2.5}", "f:1:16: error: 'scale' must be at most 2, got 2.5\n"},
        {"units: {scale: -1.5}", "f:1:16: error: 'scale' must be at least -1, got -1.5\n"},
        {"units: {within: 120%}", "f:1:17: error: 'within' wants a share such as 25%\n"},
        {"units: {strict: yes}", "f:1:17: error: 'strict' wants true or false\n"},
        {"units: {size: {value: 2KiB, basis: vendr}}",
         "f:1:36: error: unknown basis 'vendr'; did you mean 'vendor'?\n"},
        {"units: {size: {valeu: 2KiB}}",
         "f:1:16: error: unknown key 'valeu'; did you mean 'value'?\n"},
        {"units: {size: {basis: vendor}}", "f:1:15: error: 'size' wants a size such as 24GiB, or a "
                                           "map {value, basis, source, note}\n"},
        {"units: {size: {value: 2KiB, source: [x]}}",
         "f:1:37: error: 'source' wants a text, got a list\n"},
        {"units: {size: {value: 2}}", "f:1:23: error: 'size' must be at least 1KiB, got 2B\n"},
        {"units: {flops: {value: 1TFLOPS}}",
         "f:1:16: error: 'flops' wants a compute rate such as 312TFLOPS, got a map\n"},
        {"seed: x\nexperts: {cache: {scope: x}}\n",
         "f:1:7: error: 'seed' wants a whole number\n"
         "f:2:26: error: unknown scope 'x'; one of: model, layer\n"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_auto(bag) b = bag_read(cases[i].text);
        g_autofree char *got = bag_messages(&b);
        MOE_CHECK(strcmp(got, cases[i].error) == 0, "%zu '%s'\n got %s want %s", i, cases[i].text,
                  got, cases[i].error);
    }
}

static void
wants_what_is_required(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"model: m", ""},
        {"seed: 1", "f: error: key 'model' is missing\n"},
        {"model: [m]", "f:1:8: error: 'model' wants a text, got a list\n"},
        {"model: m\nexperts: {predict: given}",
         "f:2:20: error: key 'experts.predict.recall' is missing\n"},
        {"model: m\nexperts: {predict: {kind: given}}",
         "f:2:27: error: key 'experts.predict.recall' is missing\n"},
        {"model: m\nexperts: {predict: {kind: given, recall: 90%}}", ""},
        {"model: m\nexperts: {staging: [{place: a}, {bandwidth: 2GB/s}]}",
         "f:2:33: error: key 'experts.staging.1.place' is missing\n"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_auto(bag) b = bag_new();
        moe_settings_read(b.settings, bag_parse(&b, cases[i].text), NULL, true, b.diag);
        g_autofree char *got = bag_messages(&b);
        MOE_CHECK(strcmp(got, cases[i].error) == 0, "%zu: got %s want %s", i, got, cases[i].error);
    }
}

static void
sets_keys(void)
{
    g_auto(bag) b = bag_read("experts: {staging: [{place: a}, {place: b}]}");
    bag_set(&b, "seed", "7");
    bag_set(&b, "seed", "8"); /* the later one wins */
    bag_set(&b, "experts.cache", "{capacity: 50%, scope: model}");
    bag_set(&b, "experts.staging.1.limits.capacity", "1 slot");
    bag_set(&b, "experts.staging.0", "{evict: {kind: s3fifo, small: 1%}}");
    bag_set(&b, "experts.staging.0.evict.small", "2%");
    bag_set(&b, "experts.cache.evict.kind", "s3fifo");
    bag_set(&b, "experts.cache.evict.small", "0.5");
    bag_set(&b, "experts.prefetch", "window");
    bag_set(&b, "experts.prefetch.inner.kind", "s3fifo");
    bag_set(&b, "experts.prefetch.inner.small", "50%");
    CHECK_CLEAN(&b);
    CHECK_TEXT(&b, "seed", "8");
    CHECK_TEXT(&b, "experts.cache.capacity", "50%");
    CHECK_TEXT(&b, "experts.staging.1.limits.capacity", "1 slot");
    CHECK_TEXT(&b, "experts.staging.0.evict.small", "2%");
    CHECK_TEXT(&b, "experts.staging.0.place", "a");
    CHECK_TEXT(&b, "experts.cache.evict.small", "50%");
    CHECK_TEXT(&b, "experts.prefetch.inner.small", "50%");
    CHECK_TEXT(&b, "experts.prefetch.kind", "window");
    CHECK_TEXT(&b, "experts.prefetch", "window");
    bag_set(&b, "experts.staging", "[{place: c}]"); /* a new list forgets the old elements */
    CHECK_TEXT(&b, "experts.staging", "[{place: c}]");
    CHECK_TEXT(&b, "experts.staging.1.place", NULL);
}

static void
words_errors_of_set(void)
{
    static const struct {
        const char *key, *value, *error;
    } cases[] = {
        {"sede", "7", "unknown key 'sede'; did you mean 'seed'?"},
        {"experts.cach.capacity", "7",
         "unknown key 'experts.cach.capacity'; did you mean 'experts.cache.capacity'?"},
        {"capacity", "25%", "unknown key 'capacity'; did you mean 'experts.cache.capacity'?"},
        {"experts.staging.0.place", "x", "unknown key 'experts.staging.0.place'"},
        {"experts.prefetch.zebra", "1", "unknown key 'experts.prefetch.zebra'"},
        {"experts.cache.evict", "lur", "unknown evict policy 'lur'; did you mean 'lru'?"},
        {"experts.cache", "5", "'cache' wants a map, got a scalar"},
        {"experts.prefetch", "{kind: none, budget: 1}",
         "unknown key 'budget' of prefetch 'none'; 'next-layer', 'window' have it"},
        {"experts.prefetch.budget", "x", "'budget' wants a whole number"},
        {"workload.batch", "0", "'batch' must be at least 1, got 0"},
        {"", "1", "unknown key ''"},
        {".", "1", "unknown key '.'"},
        {"experts.", "1", "unknown key 'experts.'"},
        {"experts.staging.*.place", "1", "unknown key 'experts.staging.*.place'"},
        {"experts.staging.99999999999999999999.place", "1",
         "unknown key 'experts.staging.99999999999999999999.place'"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_auto(bag) b = bag_new();
        bag_set(&b, cases[i].key, cases[i].value);
        g_autofree char *got = bag_messages(&b);
        g_autofree char *tail = g_strconcat("error: ", cases[i].error, "\n", NULL);
        MOE_CHECK(g_str_has_suffix(got, tail), "%zu: got %s want %s", i, got, tail);
    }
    g_autofree char *endless = g_strnfill(100000, 'x');
    g_auto(bag) b = bag_new();
    bag_set(&b, endless, "1");
    CU_ASSERT_EQUAL(moe_diag_errors(b.diag), 1);
}

/* The base document's parameters follow a sweep over kinds. */
static void
switches_variants(void)
{
    g_auto(bag) base = bag_read("experts: {prefetch: {kind: next-layer, budget: 2}}");
    CHECK_TEXT(&base, "experts.prefetch.budget", "2");
    CHECK_TEXT(&base, "experts.prefetch.kind", "next-layer"); /* no sweep said the budget */
    bag_set(&base, "experts.prefetch.kind", "none");
    CHECK_TEXT(&base, "experts.prefetch.budget", "");
    CU_ASSERT_PTR_NULL(bag_data(&base)->prefetch.config);
    bag_set(&base, "experts.prefetch.kind", "window");
    CHECK_TEXT(&base, "experts.prefetch.budget", "2");
    CHECK_TEXT(&base, "experts.prefetch.inner", "lru");
    bag_set(&base, "experts.prefetch.share", "20%"); /* only next-layer has it */
    bag_set(&base, "experts.prefetch.kind", "next-layer");
    CHECK_TEXT(&base, "experts.prefetch.share", "20%");
    CHECK_TEXT(&base, "experts.prefetch.budget", "2");
    bag_set(&base, "experts.prefetch",
            "{kind: window, budget: 5, inner: {kind: s3fifo, small: 7%}}");
    bag_set(&base, "experts.prefetch.inner.small", "8%");
    bag_set(&base, "experts.prefetch.kind", "none");
    bag_set(&base, "experts.prefetch.kind", "window");
    CHECK_TEXT(&base, "experts.prefetch.budget", "5");
    CHECK_TEXT(&base, "experts.prefetch.inner.small", "8%");
    CHECK_CLEAN(&base);

    /* A map says its own values before old ones are set again: 20 would be too much here. */
    g_auto(bag) other = bag_read("experts: {prefetch: {kind: next-layer, budget: 20}}");
    bag_set(&other, "experts.prefetch", "{kind: window, budget: 3}");
    CHECK_TEXT(&other, "experts.prefetch.budget", "3");
    CHECK_CLEAN(&other);

    g_auto(bag) wrong = bag_read("experts: {prefetch: {kind: next-layer, budget: 20}}");
    bag_set(&wrong, "experts.prefetch.kind", "window");
    g_autofree char *said = bag_messages(&wrong);
    CU_ASSERT_STRING_EQUAL(said, "f:1:48: error: 'budget' must be at most 8, got 20\n");
}

static void
warns_of_what_has_no_effect(void)
{
    g_auto(bag) b = bag_new();
    bag_set(&b, "experts.prefetch.budget", "2");
    moe_settings_unused(b.settings, b.diag);
    g_autofree char *said = bag_messages(&b);
    CU_ASSERT_STRING_EQUAL(
        said, "f:1:1: warning: 'experts.prefetch.budget' has no effect with what is chosen here\n");
    g_auto(bag) later = bag_new();
    bag_set(&later, "experts.prefetch.budget", "2");
    bag_set(&later, "experts.prefetch.kind", "next-layer");
    moe_settings_unused(later.settings, later.diag);
    CHECK_CLEAN(&later);
    CHECK_TEXT(&later, "experts.prefetch.budget", "2");
    /* What the document says for another kind than the one a sweep chose is no mistake. */
    g_auto(bag) swept = bag_read("experts: {prefetch: {kind: next-layer, budget: 2}}");
    bag_set(&swept, "experts.prefetch.kind", "window");
    bag_set(&swept, "experts.prefetch.kind", "none");
    moe_settings_unused(swept.settings, swept.diag);
    CHECK_CLEAN(&swept);
}

static void
finds_rows(void)
{
    g_auto(bag) b = bag_read("experts: {prefetch: next-layer, staging: [{place: a}]}");
    static const struct {
        const char *key, *canonical;
    } cases[] = {
        {"seed", "seed"},
        {"experts.prefetch", "experts.prefetch.kind"},
        {"experts.prefetch.kind", "experts.prefetch.kind"},
        {"experts.prefetch.budget", "experts.prefetch.budget"},
        {"experts.prefetch.label", "experts.prefetch.label"}, /* of another variant */
        {"experts.cache.evict", "experts.cache.evict"},
        {"experts.cache.evict.kind", "experts.cache.evict"},
        {"experts.cache.evict.small", "experts.cache.evict.small"},
        {"experts.staging", "experts.staging"},
        {"experts.staging.0.evict.kind", "experts.staging.0.evict"},
        {"experts.staging.0", NULL},
        {"experts.staging.00.place", NULL},
        {"experts.staging.1.place", NULL},
        {"experts", NULL},
        {"experts.cache.evict.zebra", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const char *canonical = "unset";
        const moe_param *row = moe_settings_find(b.settings, cases[i].key, &canonical);
        MOE_CHECK(!row == !cases[i].canonical && g_strcmp0(canonical, cases[i].canonical) == 0,
                  "%zu '%s': '%s'", i, cases[i].key, canonical ? canonical : "NULL");
    }
}

static void
remembers_provenance(void)
{
    g_auto(bag) b = bag_read(
        "units: {size: {value: 2KiB, basis: vendor, source: a sheet, note: n}, rate: 2GB/s}\n"
        "experts: {staging: [{place: a, bandwidth: {value: 3GB/s, basis: estimate}}]}\n");
    CHECK_CLEAN(&b);
    size_t n;
    const moe_provenance *said = moe_settings_provenance(b.settings, &n);
    CU_ASSERT_FATAL(n == 3);
    CU_ASSERT_STRING_EQUAL(said[0].key, "units.size");
    CU_ASSERT_STRING_EQUAL(said[0].basis, "vendor");
    CU_ASSERT_STRING_EQUAL(said[0].source, "a sheet");
    CU_ASSERT_STRING_EQUAL(said[0].note, "n");
    CU_ASSERT_STRING_EQUAL(said[1].key, "units.rate");
    CU_ASSERT_STRING_EQUAL(said[1].basis, "");
    CU_ASSERT_STRING_EQUAL(said[2].key, "experts.staging.0.bandwidth");
    CU_ASSERT_STRING_EQUAL(said[2].basis, "estimate");
    bag_set(&b, "units.size", "4KiB");
    bag_set(&b, "experts.staging", "[]");
    said = moe_settings_provenance(b.settings, &n);
    CU_ASSERT_FATAL(n == 2);
    CU_ASSERT_STRING_EQUAL(said[1].key, "units.size");
    CU_ASSERT_STRING_EQUAL(said[1].basis, "");
}

static void
reads_single_scalars(void)
{
    g_auto(bag) b = bag_new();
    const moe_yaml *map = bag_parse(&b, "{a: 5, b: text, c: 1.5, d: [1], e: }");
    int64_t whole = 0;
    double real = 0;
    const char *text = NULL;
    CU_ASSERT(moe_yaml_int(moe_yaml_get(map, "a"), "a", 1, 5, &whole, b.diag) && whole == 5);
    CU_ASSERT(moe_yaml_real(moe_yaml_get(map, "c"), "c", &real, b.diag) && real == 1.5);
    CU_ASSERT(moe_yaml_text(moe_yaml_get(map, "b"), "b", &text, b.diag));
    CU_ASSERT_STRING_EQUAL(text, "text");
    CHECK_CLEAN(&b);
    CU_ASSERT(!moe_yaml_int(moe_yaml_get(map, "a"), "a", 6, 9, &whole, b.diag));
    CU_ASSERT(!moe_yaml_int(moe_yaml_get(map, "b"), "b", 0, 9, &whole, b.diag));
    CU_ASSERT(!moe_yaml_real(moe_yaml_get(map, "d"), "d", &real, b.diag));
    CU_ASSERT(!moe_yaml_text(moe_yaml_get(map, "e"), "e", &text, b.diag));
    g_autofree char *said = bag_messages(&b);
    CU_ASSERT_STRING_EQUAL(said, "f:1:5: error: 'a' must be at least 6, got 5\n"
                                 "f:1:11: error: 'b' wants a whole number\n"
                                 "f:1:28: error: 'd' wants a number, got a list\n"
                                 "f:1:36: error: 'e' has no value\n");
}

MOE_TESTS({"the table", makes_sense}, {"defaults", fills_defaults}, {"types", reads_every_type},
          {"errors", words_errors}, {"required keys", wants_what_is_required},
          {"setting keys", sets_keys}, {"errors of setting", words_errors_of_set},
          {"switching variants", switches_variants}, {"no effect", warns_of_what_has_no_effect},
          {"finding rows", finds_rows}, {"provenance", remembers_provenance},
          {"single scalars", reads_single_scalars})
