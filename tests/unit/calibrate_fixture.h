/* Measured rows made from a machine whose numbers are known, by the cost functions themselves. */
#ifndef MOE_TESTS_CALIBRATE_FIXTURE_H
#define MOE_TESTS_CALIBRATE_FIXTURE_H

#include "hw/cost.h"
#include "profiler/calibrate.h"
#include "tests/test.h"

#include <math.h>

/* What the rows are made of; the base is server-h100, without its library: calibration fits a
 * device's own numbers. */
typedef struct fixture {
    moe_hardware_set *base;
    moe_hardware hw;
    moe_device truth;
    moe_hw_link links[8];
    moe_measured *table;
    double noise; /* largest relative error of a time */
    uint64_t draws;
} fixture;

static fixture
fixture_begin(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    fixture f = {.base = moe_hardware_load("server-h100", NULL, (moe_loc){0}, diag, NULL)};
    CU_ASSERT_FATAL(f.base != NULL);
    f.hw = *moe_hardware_get(f.base);
    f.truth = f.hw.devices[0];
    f.truth.kernels = NULL;
    memcpy(f.links, f.hw.links, (size_t)f.hw.n_links * sizeof *f.links);
    f.table = moe_measured_new();
    moe_measured_begin(f.table, "made.csv");
    return f;
}

static void
fixture_end(fixture *f)
{
    moe_measured_free(f->table);
    moe_hardware_free(f->base);
}

static const moe_calibrated *
fixture_number(const moe_calibration *c, const char *key)
{
    size_t n = 0;
    const moe_calibrated *all = moe_calibration_numbers(c, &n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(all[i].key, key))
            return &all[i];
    MOE_CHECK(false, "no number '%s'", key);
    return &all[0];
}

/* That a number was fitted, and is within `share` of the truth. */
static void
fixture_expect(const moe_calibration *c, const char *key, double truth, double share)
{
    const moe_calibrated *number = fixture_number(c, key);
    MOE_CHECK(number->fitted && fabs(number->value / truth - 1) <= share, "%s: %g (%s), wanted %g",
              key, number->value, number->fitted ? "fitted" : number->remark, truth);
}

static moe_calibration *
fixture_calibrate(const fixture *f)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_calibration *c = moe_calibrate(f->table, f->base, NULL, diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(c, "%s", said);
    return c;
}

#endif
