/* Hardware descriptions: every preset loads and names its sources; each mistake is a located
 * message; routes between places. */
#include "hw/hardware.h"
#include "hw/set.h"
#include "sim/base/data.h"
#include "tests/test.h"

static moe_hardware_set *
load(const char *name)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_hardware_set *set = moe_hardware_load(name, NULL, (moe_loc){0}, diag, &error);
    g_autofree char *text = moe_diag_render(diag);

    MOE_CHECK(set && !error, "%s: %s%s", name, text, error ? error->message : "");
    MOE_CHECK(!*text, "%s", text);
    return set;
}

/* A number either names its source, or is an estimate. */
static void
check_sources(const moe_hardware_set *set)
{
    static const char *const bases[] = {"vendor",     "measured",  "fitted",  "derived",
                                        "literature", "secondary", "estimate"};
    size_t n = 0;
    const moe_provenance *all = moe_settings_provenance(set->settings, &n);

    MOE_CHECK(n > 20, "%s: %zu numbers", set->name, n);
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (size_t b = 0; b < MOE_COUNT(bases); b++)
            known |= !strcmp(all[i].basis, bases[b]);
        MOE_CHECK(known, "%s: %s: basis '%s'", set->name, all[i].key, all[i].basis);
        MOE_CHECK(*all[i].source || !strcmp(all[i].basis, "estimate"), "%s: %s has no source",
                  set->name, all[i].key);
    }
}

/* Every preset, written and read back, is the same machine with the same sources; changed numbers
 * are changed, and nothing else is. */
static void
presets_are_written(void)
{
    static const moe_hw_change changes[] = {
        {"devices.0.launch", "1.25us", "fitted", "a \"table\"\nof two lines", NULL},
        {"devices.0.tile", "16", "fitted", "the same", "note"},
        {"devices.0.power.peak", NULL, NULL, NULL, NULL},
    };
    g_auto(GStrv) names = moe_data_presets("hw/presets");

    for (size_t i = 0; names && names[i]; i++) {
        g_autoptr(moe_hardware_set) set = load(names[i]);
        g_autoptr(GString) text = g_string_new(NULL), before = g_string_new(NULL),
                           after = g_string_new(NULL);
        g_autoptr(moe_diag) diag = moe_diag_new();
        const moe_hardware *hw = moe_hardware_get(set);
        moe_hardware_write(set, hw->name, hw->source, NULL, 0, text);
        g_autoptr(moe_hardware_set) same =
            moe_hardware_parse("same.yaml", text->str, text->len, NULL, diag);
        g_autofree char *said = moe_diag_render(diag);
        MOE_CHECK(same && !*said, "%s: %s\n%s", names[i], said, text->str);
        if (!same)
            continue;
        moe_hardware_canonical(hw, before);
        moe_hardware_canonical(moe_hardware_get(same), after);
        MOE_CHECK(g_string_equal(before, after), "%s\n%s\n%s", names[i], before->str, after->str);
        g_string_truncate(before, 0);
        g_string_truncate(after, 0);
        moe_hardware_describe(set, true, before);
        moe_hardware_describe(same, true, after);
        MOE_CHECK(g_string_equal(before, after), "%s\n%s\n%s", names[i], before->str, after->str);

        g_string_truncate(text, 0);
        moe_hardware_write(set, "another name", "", changes, MOE_COUNT(changes), text);
        g_autoptr(moe_hardware_set) other =
            moe_hardware_parse("other.yaml", text->str, text->len, NULL, diag);
        g_autofree char *still = moe_diag_render(diag);
        MOE_CHECK(other && !*still, "%s: %s\n%s", names[i], still, text->str);
        if (!other)
            continue;
        const moe_hardware *o = moe_hardware_get(other);
        CU_ASSERT_STRING_EQUAL(o->name, "another name");
        CU_ASSERT_EQUAL(o->devices[0].launch_ps, 1250000);
        CU_ASSERT_EQUAL(o->devices[0].experts.tile, 16);
        CU_ASSERT_EQUAL(o->devices[0].peak_watt, 0);
        CU_ASSERT_EQUAL(o->devices[0].gemm.efficiency, hw->devices[0].gemm.efficiency);
        moe_hardware_describe(other, true, after);
        MOE_CHECK(
            strstr(after->str, "devices.0.launch = 1250ns (fitted) a \"table\"\nof two lines"),
            "%s", after->str);
    }
}

static void
presets_load(void)
{
    static const char *const wanted[] = {
        "desktop-rtx3090", "desktop-rtx3090-pcie3", "desktop-rtx4090", "server-a100-80",
        "server-h100",     "jetson-agx-orin",       "node-sn40l",      "phone-ufs4",
    };
    g_auto(GStrv) names = moe_data_presets("hw/presets");

    for (size_t i = 0; i < MOE_COUNT(wanted); i++)
        MOE_CHECK(names && g_strv_contains((const char *const *)names, wanted[i]), "%s", wanted[i]);
    for (size_t i = 0; names && names[i]; i++) {
        g_autoptr(moe_hardware_set) set = load(names[i]);
        if (!set)
            continue;
        const moe_hardware *hw = moe_hardware_get(set);
        g_autoptr(GString) text = g_string_new(NULL);
        MOE_CHECK(!strcmp(hw->name, names[i]), "%s is called %s", names[i], hw->name);
        check_sources(set);
        moe_hardware_describe(set, true, text);
        MOE_CHECK(strstr(text->str, "numbers (* an estimate)"), "%s", text->str);
        /* Experts can come from every slower place, and go back. */
        for (int p = hw->devices[0].place + 1; p < hw->n_places; p++) {
            int links[16];
            int hops = moe_hardware_route(hw, p, hw->devices[0].place, links, 16);
            MOE_CHECK(hops == p - hw->devices[0].place, "%s: %d hops", names[i], hops);
            hops = moe_hardware_route(hw, hw->devices[0].place, p, links, 16);
            MOE_CHECK(hops > 0, "%s: no way back to %s", names[i], hw->places[p].name);
        }
    }
}

static void
hosts(void)
{
    g_autoptr(moe_hardware_set) desktop = load("desktop-rtx4090");
    g_autoptr(moe_hardware_set) phone = load("phone-ufs4");
    const moe_hardware *hw = moe_hardware_get(desktop);

    CU_ASSERT_EQUAL(hw->host, 1);
    CU_ASSERT_EQUAL(hw->devices[0].kind, MOE_DEVICE_GPU);
    CU_ASSERT_EQUAL(hw->devices[0].place, moe_hardware_place(hw, "hbm"));
    CU_ASSERT_EQUAL(hw->devices[1].place, moe_hardware_place(hw, "dram"));
    CU_ASSERT_EQUAL(moe_hardware_place(hw, "flash"), 2);
    CU_ASSERT_EQUAL(moe_hardware_place(hw, "cxl"), -1);
    CU_ASSERT_EQUAL(moe_hardware_get(phone)->host, -1);
    CU_ASSERT_EQUAL(moe_hardware_get(phone)->devices[0].kind, MOE_DEVICE_CPU);
}

static void
canonical_text(void)
{
    g_autoptr(moe_hardware_set) a = load("desktop-rtx4090");
    g_autoptr(moe_hardware_set) b = load("desktop-rtx4090");
    g_autoptr(moe_hardware_set) other = load("desktop-rtx3090");
    g_autoptr(GString) text_a = g_string_new(NULL);
    g_autoptr(GString) text_b = g_string_new(NULL);
    g_autoptr(GString) text_other = g_string_new(NULL);

    moe_hardware_canonical(moe_hardware_get(a), text_a);
    moe_hardware_canonical(moe_hardware_get(b), text_b);
    moe_hardware_canonical(moe_hardware_get(other), text_other);
    CU_ASSERT_STRING_EQUAL(text_a->str, text_b->str);
    CU_ASSERT_STRING_NOT_EQUAL(text_a->str, text_other->str);
}

/* ---- mistakes ---- */

#define PLACES                                                                                     \
    "places:\n"                                                                                    \
    "  - {name: hbm, capacity: 8GiB, read: 100GB/s}\n"                                             \
    "  - {name: dram, capacity: 16GiB, read: 10GB/s}\n"
#define DEVICES                                                                                    \
    "devices:\n"                                                                                   \
    "  - {name: gpu, place: hbm, peak: {bf16: 1TFLOPS}, gemm_efficiency: 80%, "                    \
    "stream_efficiency: 90%}\n"
#define LINKS                                                                                      \
    "links:\n"                                                                                     \
    "  - {name: up, from: dram, to: hbm, rate: 5GB/s, engine: 0}\n"

static void
expect(const char *yaml, const char *message)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_hardware_set) set = moe_hardware_parse("h.yaml", yaml, strlen(yaml), NULL, diag);
    g_autofree char *text = moe_diag_render(diag);

    if (message)
        MOE_CHECK(!set && strstr(text, message), "%s\nsays: %s\nwanted: %s", yaml, text, message);
    else
        MOE_CHECK(set && !*text, "%s\nsays: %s", yaml, text);
}

static void
mistakes(void)
{
    expect(PLACES DEVICES LINKS, NULL);
    expect("[]\n", "h.yaml:1:1: error: a hardware description is a map of keys, not a list");
    expect(PLACES DEVICES "links:\n  - {name: up, from: drma, to: hbm, rate: 5GB/s, engine: 0}\n",
           "h.yaml:7:22: error: unknown place 'drma'; did you mean 'dram'?");
    expect(PLACES DEVICES "links:\n  - {name: up, from: dram, to: xy, rate: 5GB/s, engine: 0}\n",
           "unknown place 'xy'");
    expect(PLACES DEVICES "links:\n  - {name: up, from: dram, to: dram, rate: 5GB/s, engine: 0}\n",
           "leads back to where it starts");
    expect(PLACES DEVICES LINKS "  - {name: up, from: hbm, to: dram, rate: 5GB/s, engine: 0}\n",
           "two links are called 'up'");
    expect(PLACES DEVICES
           "links:\n  - {name: up, from: dram, to: hbm, rate: 5GB/s, peak: 4GB/s, engine: 0}\n",
           "h.yaml:7:43: error: 'up' achieves more than its peak bandwidth");
    expect(PLACES DEVICES
           "links:\n  - {name: up, from: dram, to: hbm, rate: 5GB/s, pageable: 6GB/s, engine: 0}\n",
           "faster from pageable memory");
    static const struct {
        const char *keys, *said;
    } memories[] = {
        {"channels: 12, channel: 38.4GB/s", NULL},
        {"channels: 12, channel: 38.4GB/s, read: 400GB/s", NULL},
        {"channels: 12, channel: 38.4GB/s, read: 500GB/s",
         "h.yaml:2:72: error: 'hbm' reads faster than its channels together"},
        {"channels: 12", "'hbm' wants its peak bandwidth: 'read', or 'channels' and 'channel'"},
        {"read: 0B/s", "'hbm' wants its peak bandwidth"},
    };
    for (size_t i = 0; i < MOE_COUNT(memories); i++) {
        g_autofree char *yaml =
            g_strconcat("places:\n  - {name: hbm, capacity: 8GiB, ", memories[i].keys,
                        "}\n  - {name: dram, capacity: 16GiB, read: 10GB/s}\n" DEVICES LINKS, NULL);
        expect(yaml, memories[i].said);
    }
    static const struct {
        const char *keys, *said;
    } requests[] = {
        {"depth: 8", "h.yaml:7:68: error: 'up' has requests in flight, but no 'request' says"},
        {"request: 1MiB, channel: 6GB/s", "'up' is faster with one request than with many"},
        {"request: 1MiB, iops: 0.5", "'up' takes less than one request a second"},
        {"latency: 5us, per_copy: 6us", "'up' costs more behind another transfer than alone"},
        {"request: 1MiB, depth: 8, channel: 4GB/s, iops: 9000, latency: 5us, per_copy: 4us", NULL},
    };
    for (size_t i = 0; i < MOE_COUNT(requests); i++) {
        g_autofree char *yaml =
            g_strconcat(PLACES DEVICES "links:\n  - {name: up, from: dram, to: hbm, rate: 5GB/s, "
                                       "engine: 0, ",
                        requests[i].keys, "}\n", NULL);
        expect(yaml, requests[i].said);
    }
    expect(PLACES DEVICES
           "links:\n  - {name: up, from: dram, to: hbm, rate: 5GB/s, engine: 0, wire: 0}\n"
           "  - {name: too, from: dram, to: hbm, rate: 5GB/s, engine: 0, wire: 0}\n",
           "wire 0 belongs to 'up'");
    expect(PLACES DEVICES "  - {name: gpu, place: hbm, peak: {bf16: 1TFLOPS}, gemm_efficiency: 1, "
                          "stream_efficiency: 1}\n" LINKS,
           "two devices are called 'gpu'");
    expect(PLACES "devices:\n  - {name: gpu, place: hbm, peak: {bf16: 1TFLOPS}, "
                  "gemm_efficiency: 110%, stream_efficiency: 90%}\n" LINKS,
           "gemm_efficiency");
    expect(PLACES "devices:\n  - {name: gpu, place: hbm, gemm_efficiency: 80%, "
                  "stream_efficiency: 90%}\n" LINKS,
           "'gpu' wants at least one of peak.bf16 and peak.fp32");
    expect(PLACES "devices:\n  - {name: gpu, place: sram, peak: {bf16: 1TFLOPS}, "
                  "gemm_efficiency: 80%, stream_efficiency: 90%}\n" LINKS,
           "h.yaml:5:24: error: unknown place 'sram'; did you mean 'dram'?");
    expect("host: gpu\n" PLACES DEVICES LINKS, "h.yaml:1:7: error: 'gpu' is not of kind cpu");
    expect("host: none\n" PLACES DEVICES LINKS, "h.yaml:1:7: error: unknown device 'none'");
    expect("places:\n  - {name: hbm, capacity: 8GiB, reserved: 8GiB, read: 1GB/s}\n"
           "  - {name: dram, capacity: 8GiB, read: 1GB/s}\n" DEVICES LINKS,
           "h.yaml:2:43: error: all of 'hbm' is reserved");
    expect("places:\n  - {name: hbm, capacity: 8GiB, read: 1GB/s}\n"
           "  - {name: dram, capacity: 8GiB, read: 2GB/s}\n" DEVICES LINKS,
           "h.yaml:3:40: error: places go from fast to slow");
    expect("places:\n  - {name: hbm, capacity: 8GiB, read: 1GB/s}\n"
           "  - {name: hbm, capacity: 8GiB, read: 1GB/s}\n" DEVICES
           "links:\n  - {name: up, from: hbm, to: hbm, rate: 5GB/s, engine: 0}\n",
           "two places are called 'hbm'");
    expect("places: []\ndevices: []\nlinks: []\n", "at least one place and one device");
    expect(PLACES DEVICES LINKS "colour: red\n", "unknown key 'colour'");
    expect(PLACES DEVICES, "links");
}

static void
unknown_names(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_loc at = {"s.yaml", 4, 11, 0};

    CU_ASSERT_PTR_NULL(moe_hardware_load("desktop-rtx409", NULL, at, diag, &error));
    CU_ASSERT_PTR_NULL(moe_hardware_load("nothing-like-it", NULL, at, diag, &error));
    CU_ASSERT_PTR_NULL(error);
    g_autofree char *text = moe_diag_render(diag);
    MOE_CHECK(strstr(text, "s.yaml:4:11: error: unknown hardware 'desktop-rtx409'; did you mean "
                           "'desktop-rtx4090'?"),
              "%s", text);
    MOE_CHECK(strstr(text, "'nothing-like-it': neither a preset nor a file"), "%s", text);
}

/* Four places; two ways of two hops from 3 to 1, the second faster; none into 3. */
static void
routes(void)
{
    static const moe_place places[4] = {
        {"a", 1, 0, 1}, {"b", 1, 0, 1}, {"c", 1, 0, 1}, {"d", 1, 0, 1}};
    static const moe_hw_link links[] = {
        {.name = "ab", .from = 0, .to = 1, .bytes_per_s = 1},
        {.name = "da", .from = 3, .to = 0, .bytes_per_s = 1},
        {.name = "dc", .from = 3, .to = 2, .bytes_per_s = 2},
        {.name = "cb", .from = 2, .to = 1, .bytes_per_s = 2},
        {.name = "slow", .from = 3, .to = 2, .bytes_per_s = 1},
        {.name = "twin", .from = 2, .to = 1, .bytes_per_s = 2},
    };
    const moe_hardware hw = {
        .n_places = 4, .places = places, .n_links = MOE_COUNT(links), .links = links};
    int way[4];

    CU_ASSERT_EQUAL(moe_hardware_route(&hw, 2, 2, way, 4), 0);
    CU_ASSERT_EQUAL(moe_hardware_route(&hw, 0, 3, way, 4), -1);
    CU_ASSERT_EQUAL(moe_hardware_route(&hw, 1, 0, way, 4), -1);
    CU_ASSERT_EQUAL(moe_hardware_route(&hw, 0, 1, way, 4), 1);
    CU_ASSERT_EQUAL(way[0], 0);
    CU_ASSERT_EQUAL_FATAL(moe_hardware_route(&hw, 3, 1, way, 4), 2);
    CU_ASSERT_EQUAL(way[0], 2);
    CU_ASSERT_EQUAL(way[1], 3);
}

static void
network_mistakes(void)
{
#define NVLINK "network:\n  - {name: nvlink, ranks: 8, peak: 450GB/s, rate: 350GB/s"
    expect(PLACES DEVICES LINKS NVLINK "}\n", NULL);
    expect(PLACES DEVICES LINKS NVLINK "}\n  - {name: ib, ranks: 64, peak: 50GB/s, rate: 48GB/s}\n",
           NULL);
    expect(PLACES DEVICES LINKS NVLINK ", nvls: {rate: 451GB/s}}\n",
           "h.yaml:9:66: error: 'nvlink' achieves more than its peak bandwidth");
    expect(PLACES DEVICES LINKS
           "network:\n  - {name: nvlink, ranks: 8, peak: 450GB/s, rate: 1TB/s}\n",
           "'nvlink' achieves more than its peak bandwidth");
    expect(PLACES DEVICES LINKS NVLINK "}\n  - {name: ib, ranks: 12, peak: 50GB/s, rate: 48GB/s}\n",
           "a group of 'ib' is made of whole groups of 'nvlink', more than one: 12 ranks of groups "
           "of 8");
    expect(PLACES DEVICES LINKS NVLINK "}\n  - {name: ib, ranks: 8, peak: 50GB/s, rate: 48GB/s}\n",
           "more than one: 8 ranks of groups of 8");
    expect(PLACES DEVICES LINKS NVLINK
           "}\n  - {name: nvlink, ranks: 64, peak: 5GB/s, rate: 4GB/s}\n",
           "two network are called 'nvlink'");
    expect(PLACES DEVICES LINKS NVLINK ", ports: 2}\n", "has a port of its own");
    expect(PLACES DEVICES LINKS NVLINK ", rails: true}\n", "rails want a port for each rank");
    expect(PLACES DEVICES LINKS NVLINK
           "}\n  - {name: ib, ranks: 64, ports: 2, rails: true, peak: 50GB/s, rate: 48GB/s}\n",
           "rails want a port for each rank");
    expect(PLACES DEVICES LINKS NVLINK ", depth: 2}\n", "say nothing without each other");
    expect(PLACES DEVICES LINKS "engines:\n  - {name: vllm-1, rate: 200GB/s}\n",
           "'vllm-1' has no network to work on");
    expect(PLACES DEVICES LINKS NVLINK "}\nengines:\n  - {name: vllm-1, rate: 500GB/s}\n",
           "'vllm-1' achieves more than the peak bandwidth of 'nvlink'");
    expect(PLACES DEVICES LINKS NVLINK ", kind: torus}\n", "kind");
    expect(PLACES DEVICES LINKS NVLINK ", simple: {bse: 5us}}\n", "did you mean");
}

MOE_TESTS({"presets load and name their sources", presets_load},
          {"presets are written", presets_are_written}, {"hosts", hosts},
          {"canonical text", canonical_text}, {"mistakes are located", mistakes},
          {"mistakes of networks", network_mistakes}, {"unknown names", unknown_names},
          {"routes", routes})
