/* What the levels and engines of a network must fulfil beyond the range of each number. */
#include "hw/spec.h"

#include <inttypes.h>

/* Rates of a port's kernels, none of which can be above what the wire can carry. */
static void
check_rates(const moe_hardware_spec *spec, const moe_yaml *root, size_t i, moe_diag *diag)
{
    const moe_level *l = (const moe_level *)spec->network.items + i;
    const struct {
        const char *key;
        double rate;
    } rates[] = {
        {"rate", l->bytes_per_s},
        {"ll", l->ll.bytes_per_s},
        {"ll128", l->ll128.bytes_per_s},
        {"nvls", l->nvls.bytes_per_s},
        {"pairs", l->pairs.small_bytes_per_s},
        {"dispatch", l->dispatch.bytes_per_s},
        {"combine", l->combine.bytes_per_s},
        {"low_dispatch", l->low_dispatch.bytes_per_s},
        {"low_combine", l->low_combine.bytes_per_s},
    };

    for (size_t r = 0; r < MOE_COUNT(rates); r++)
        if (rates[r].rate > l->peak_bytes_per_s)
            moe_diag_error(diag, moe_spec_at(root, "network", i, rates[r].key),
                           "'%s' achieves more than its peak bandwidth", l->name);
}

static void
check_level(const moe_hardware_spec *spec, const moe_yaml *root, size_t i, moe_diag *diag)
{
    const moe_level *l = (const moe_level *)spec->network.items + i;

    check_rates(spec, root, i, diag);
    if (i && (l->ranks <= l[-1].ranks || l->ranks % l[-1].ranks))
        moe_diag_error(diag, moe_spec_at(root, "network", i, "ranks"),
                       "a group of '%s' is made of whole groups of '%s', more than one: %" PRId64
                       " ranks of groups of %" PRId64,
                       l->name, l[-1].name, l->ranks, l[-1].ranks);
    if (!i && l->ports)
        moe_diag_error(diag, moe_spec_at(root, "network", i, "ports"),
                       "each rank of the innermost level has a port of its own");
    if (l->rails && (!i || (l->ports && l->ports != l[-1].ranks)))
        moe_diag_error(diag, moe_spec_at(root, "network", i, "rails"),
                       "rails want a port for each rank, on a level between nodes");
    if ((l->depth > 0) != (l->chunk_bytes > 0))
        moe_diag_error(diag, moe_spec_at(root, "network", i, "depth"),
                       "'depth' and 'chunk' of '%s' say nothing without each other", l->name);
    if ((l->pairs.depth > 0) != (l->pairs.chunk_bytes > 0))
        moe_diag_error(diag, moe_spec_at(root, "network", i, "pairs"),
                       "'depth' and 'chunk' of pairs of '%s' say nothing without each other",
                       l->name);
}

static void
check_engine(const moe_hardware_spec *spec, const moe_yaml *root, size_t i, moe_diag *diag)
{
    const moe_engine *e = (const moe_engine *)spec->engines.items + i;
    const moe_level *l = spec->network.items;

    if (!spec->network.n)
        moe_diag_error(diag, moe_spec_at(root, "engines", i, "name"),
                       "'%s' has no network to work on", e->name);
    else if (e->bytes_per_s > l->peak_bytes_per_s || e->nvls_bytes_per_s > l->peak_bytes_per_s)
        moe_diag_error(diag, moe_spec_at(root, "engines", i, "rate"),
                       "'%s' achieves more than the peak bandwidth of '%s'", e->name, l->name);
}

void
moe_network_check(const moe_hardware_spec *spec, const moe_yaml *root, moe_diag *diag)
{
    for (size_t i = 0; i < spec->network.n; i++)
        check_level(spec, root, i, diag);
    for (size_t i = 0; i < spec->engines.n; i++)
        check_engine(spec, root, i, diag);
}
