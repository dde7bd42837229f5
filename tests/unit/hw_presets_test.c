/* What presets have in common: orders of magnitude, one set of peaks for one chip, and a preset for
 * each device that public tables of measurements name. */
#include "hw/hardware.h"
#include "sim/base/data.h"
#include "sim/base/units.h"
#include "tests/test.h"

#define MAX_PRESETS 128

typedef struct shelf {
    char **names;
    moe_hardware_set *sets[MAX_PRESETS];
    size_t n;
} shelf;

static shelf all;

static void
fill(void)
{
    all.names = moe_data_presets("hw/presets");
    for (; all.names && all.names[all.n] && all.n < MAX_PRESETS; all.n++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GError) error = NULL;
        all.sets[all.n] = moe_hardware_load(all.names[all.n], NULL, (moe_loc){0}, diag, &error);
        g_autofree char *said = moe_diag_render(diag);
        MOE_CHECK(all.sets[all.n] && !*said, "%s: %s", all.names[all.n], said);
    }
    CU_ASSERT(all.n > 40 && all.n < MAX_PRESETS);
}

static const moe_hardware *
machine(const char *name)
{
    for (size_t i = 0; i < all.n; i++)
        if (!strcmp(all.names[i], name) && all.sets[i])
            return moe_hardware_get(all.sets[i]);
    MOE_CHECK(false, "no preset %s", name);
    return NULL;
}

static void
check_device(const char *name, const moe_hardware *hw, const moe_device *d)
{
    const moe_place *p = &hw->places[d->place];
    double top = d->peak.bf16 > d->peak.fp32 ? d->peak.bf16 : d->peak.fp32;

    MOE_CHECK(top >= 4e10 && top <= 2e16, "%s %s: %g FLOPS", name, d->name, top);
    MOE_CHECK(d->peak.bf16 <= 0 || d->peak.bf16 >= d->peak.fp32, "%s %s", name, d->name);
    MOE_CHECK(d->peak.fp8 <= 0 || d->peak.fp8 >= 1.9 * d->peak.bf16, "%s %s", name, d->name);
    MOE_CHECK(d->peak.fp4 <= 0 || d->peak.fp4 >= 1.9 * d->peak.fp8, "%s %s", name, d->name);
    MOE_CHECK(d->l2_bytes < p->capacity / 16, "%s %s: cache", name, d->name);
    MOE_CHECK(d->peak_watt <= 0 || d->idle_watt <= d->peak_watt / 2, "%s %s", name, d->name);
    /* The batch at which a product stops being bound by memory: from a few rows to a thousand. */
    double balance = top / p->read_bytes_per_s;
    MOE_CHECK(balance > 1 && balance < 1000, "%s %s: %g FLOPs per byte", name, d->name, balance);
}

static void
orders_of_magnitude(void)
{
    for (size_t i = 0; i < all.n; i++) {
        const moe_hardware *hw = all.sets[i] ? moe_hardware_get(all.sets[i]) : NULL;
        for (int p = 0; hw && p < hw->n_places; p++) {
            const moe_place *place = &hw->places[p];
            MOE_CHECK(place->capacity >= 2 * MOE_GIB && place->capacity <= 20000 * MOE_GIB,
                      "%s: %s", all.names[i], place->name);
            MOE_CHECK(place->reserved < place->capacity / 2, "%s: %s", all.names[i], place->name);
            MOE_CHECK(p == 0 || place->capacity > hw->places[p - 1].capacity, "%s: %s",
                      all.names[i], place->name);
        }
        for (int d = 0; hw && d < hw->n_devices; d++)
            check_device(all.names[i], hw, &hw->devices[d]);
        for (int l = 0; hw && l < hw->n_links; l++) {
            const moe_hw_link *link = &hw->links[l];
            double from = hw->places[link->from].read_bytes_per_s;
            MOE_CHECK(link->bytes_per_s <= link->peak_bytes_per_s, "%s: %s", all.names[i],
                      link->name);
            MOE_CHECK(link->bytes_per_s <= from, "%s: %s is faster than where it reads",
                      all.names[i], link->name);
        }
    }
}

/* The same chip is the same in each machine that has it; a memory of another size is not. */
static void
one_chip_one_set_of_peaks(void)
{
    static const char *const chips[][8] = {
        {"desktop-rtx3090", "desktop-rtx3090-pcie3"},
        {"server-v100", "p3dn"},
        {"server-a100-80", "server-a800", "server-a100-40", "server-a100-pcie", "dgx-a100",
         "azure-ndv4", "p4d"},
        {"server-h100", "server-h200", "server-h800", "dgx-h100"},
    };

    for (size_t c = 0; c < MOE_COUNT(chips); c++)
        for (size_t i = 1; i < MOE_COUNT(chips[c]) && chips[c][i]; i++) {
            const moe_hardware *one = machine(chips[c][0]), *other = machine(chips[c][i]);
            if (!one || !other)
                continue;
            const moe_device *a = one->devices, *b = other->devices;
            MOE_CHECK(!memcmp(&a->peak, &b->peak, sizeof a->peak) && a->sms == b->sms &&
                          a->l2_bytes == b->l2_bytes,
                      "%s and %s", chips[c][0], chips[c][i]);
        }
}

static const char *
first_called(const char *device)
{
    for (size_t i = 0; i < all.n; i++) {
        const moe_hardware *hw = all.sets[i] ? moe_hardware_get(all.sets[i]) : NULL;
        if (hw && moe_device_matches(hw->devices, device))
            return hw->name;
    }
    return "none";
}

/* A device's name leads to one preset. */
static void
names_of_devices(void)
{
    static const struct {
        const char *device, *preset;
    } cases[] = {
        {"NVIDIA A100-SXM4-80GB", "server-a100-80"},
        {"NVIDIA H100 80GB HBM3", "server-h100"},
        {"nvidia h100 80gb hbm3", "server-h100"},
        {"NVIDIA H200", "server-h200"},
        {"NVIDIA B200", "server-b200"},
        {"NVIDIA L40S", "server-l40s"},
        {"NVIDIA H20", "server-h20"},
        {"h800", "server-h800"},
        {"a800", "server-a800"},
        {"RTXPRO6000", "workstation-rtxpro6000"},
        {"Tesla T4", "server-t4"},
        {"NVIDIA H100 80GB", NULL},
        {"NVIDIA H100 80GB HBM3e", NULL},
        {"", NULL},
        {"|", NULL},
    };

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const char *got = first_called(cases[i].device);
        MOE_CHECK(!strcmp(got, cases[i].preset ? cases[i].preset : "none"), "%s: %s",
                  cases[i].device, got);
    }
    for (size_t i = 0; i < all.n; i++) {
        const moe_hardware *hw = all.sets[i] ? moe_hardware_get(all.sets[i]) : NULL;
        const char *matches = hw ? hw->devices[0].matches : NULL;
        g_auto(GStrv) names = g_strsplit(matches ? matches : "", "|", -1);
        for (size_t n = 0; names[n]; n++)
            for (size_t j = 0; j < all.n; j++)
                MOE_CHECK(j == i || !all.sets[j] ||
                              !moe_device_matches(moe_hardware_get(all.sets[j])->devices, names[n]),
                          "'%s' is %s and %s", names[n], all.names[i], all.names[j]);
    }
}

static void
empty(void)
{
    for (size_t i = 0; i < all.n; i++)
        moe_hardware_free(all.sets[i]);
    g_strfreev(all.names);
}

MOE_TESTS({"every preset loads", fill}, {"orders of magnitude", orders_of_magnitude},
          {"one chip, one set of peaks", one_chip_one_set_of_peaks},
          {"names of devices", names_of_devices}, {"freed", empty})
