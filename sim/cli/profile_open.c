#include "sim/cli/profile_open.h"

#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "traces/routing.h"

#include <string.h>

#define LOSS_ALLOWED 0.01

moe_recording *
moe_profile_open(const char *path, bool allow_loss, int *code)
{
    GError *error = NULL;
    g_autoptr(moe_recording) recording = moe_recording_open(path, &error);
    g_autofree char *what = NULL;
    *code = MOE_EXIT_OK;
    if (!recording) {
        *code = moe_say_error(error);
        return NULL;
    }
    double lost = moe_recording_lost(recording, &what);
    if (lost > LOSS_ALLOWED && !allow_loss) {
        moe_say("%s: %.1f %% were lost (%s), which makes its sums wrong; --allow-loss takes it",
                path, 100 * lost, what);
        *code = MOE_EXIT_INPUT;
        return NULL;
    }
    if (lost > 0)
        moe_say("note: %s: %.2f %% were lost (%s)", path, 100 * lost, what);
    return g_steal_pointer(&recording);
}

/* ---- routing ---- */

static int
by_step(const void *a, const void *b, void *context)
{
    const uint64_t *x = a, *y = b;
    const uint32_t *step = context;
    return (step[*x] > step[*y]) - (step[*x] < step[*y]);
}

/* Adds the loads of rows[0 .. n), which are of one step; false when the profile lacks it. */
static bool
join_step(moe_recording *recording, const moe_routing *routing, const uint64_t *rows, size_t n)
{
    g_autofree int64_t *uses = g_new(int64_t, routing->n_experts);
    g_autofree uint16_t *ids = g_new(uint16_t, routing->k);
    bool found = false;
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        moe_recording_load load = {
            .step = routing->step[rows[0]], .layer = routing->layer_ids[l], .tokens = (int64_t)n};
        memset(uses, 0, routing->n_experts * sizeof *uses);
        for (size_t i = 0; i < n; i++) {
            uint32_t k = moe_routing_row(routing, rows[i], l, ids);
            load.uses += k;
            for (uint32_t j = 0; j < k; j++)
                load.distinct += uses[ids[j]]++ == 0;
        }
        for (uint32_t e = 0; e < routing->n_experts; e++)
            load.largest = MAX(load.largest, uses[e]);
        if (load.distinct > 0)
            found = moe_recording_add_load(recording, &load) || found;
    }
    return found;
}

int
moe_profile_join(moe_recording *recording, const char *trace)
{
    GError *error = NULL;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_routing_file) file = moe_routing_open(trace, diag, &error);
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (code || !file)
        return code;
    const moe_routing *routing = moe_routing_get(file);
    if (!routing->step) {
        moe_say("%s: the trace does not say which tokens ran together (no tensor 'step')", trace);
        return MOE_EXIT_INPUT;
    }
    size_t n = routing->n_tokens, steps = 0, found = 0;
    g_autofree uint64_t *rows = g_new(uint64_t, n + 1);
    for (size_t i = 0; i < n; i++)
        rows[i] = i;
    g_qsort_with_data(rows, (gint)n, sizeof *rows, by_step, (gpointer)(uintptr_t)routing->step);
    for (size_t i = 0, m; i < n; i += m, steps++) {
        for (m = 1; i + m < n && routing->step[rows[i + m]] == routing->step[rows[i]];)
            m++;
        found += join_step(recording, routing, rows + i, m);
    }
    if (found == steps)
        return MOE_EXIT_OK;
    moe_say("%s: %zu of the %zu steps of %s are not in the profile: not the same run?",
            recording->path, steps - found, steps, trace);
    return MOE_EXIT_INPUT;
}
