#include "hw/network.h"

#include <glib.h>
#include <string.h>

int
moe_network_level(const moe_network *network, int64_t a, int64_t b)
{
    if (a == b)
        return -1;
    for (int l = 0; l < network->n_levels; l++)
        if (a / network->levels[l].ranks == b / network->levels[l].ranks)
            return l;
    return network->n_levels - 1;
}

int
moe_network_span(const moe_network *network, int64_t ranks)
{
    int l = 0;

    while (l + 1 < network->n_levels && network->levels[l].ranks < ranks)
        l++;
    return l;
}

bool
moe_network_joins(const moe_network *network, int64_t ranks)
{
    return network->n_levels && ranks <= network->levels[network->n_levels - 1].ranks;
}

int
moe_network_narrowest(const moe_network *network, int span)
{
    int narrowest = span ? 1 : 0;

    for (int l = 2; l <= span; l++)
        if (moe_level_rate(network, l) < moe_level_rate(network, narrowest))
            narrowest = l;
    return narrowest;
}

double
moe_level_group_rate(const moe_network *network, int level)
{
    const moe_level *l = &network->levels[level];
    int64_t ports = l->ports;

    if (!level)
        return l->bytes_per_s;
    if (!ports)
        ports = network->levels[level - 1].ranks;
    return l->bytes_per_s * (double)ports;
}

double
moe_level_rate(const moe_network *network, int level)
{
    const moe_level *l = &network->levels[level];

    if (!level || !l->ports)
        return l->bytes_per_s;
    return moe_level_group_rate(network, level) / (double)network->levels[level - 1].ranks;
}

/* "0.5.9" before "0.5.14", by their numbers; the shorter first where one begins the other. */
static int
compare_versions(const char *a, const char *b)
{
    while (*a || *b) {
        uint64_t x = 0, y = 0;
        for (; g_ascii_isdigit(*a); a++)
            x = 10 * x + (uint64_t)(*a - '0');
        for (; g_ascii_isdigit(*b); b++)
            y = 10 * y + (uint64_t)(*b - '0');
        if (x != y)
            return x < y ? -1 : 1;
        if (*a != '.' || *b != '.')
            return (*a == '.') - (*b == '.');
        a++;
        b++;
    }
    return 0;
}

const moe_engine *
moe_network_engine(const moe_network *network, const char *name, const char *version)
{
    const moe_engine *first = NULL, *last = NULL;
    const char *since = NULL;
    size_t length = strlen(name);

    for (int i = 0; i < network->n_engines; i++) {
        const moe_engine *e = &network->engines[i];
        if (strncmp(e->name, name, length) || e->name[length] != '-')
            continue;
        const char *of = e->name + length + 1;
        if (!first || compare_versions(of, first->name + length + 1) < 0)
            first = e;
        if (compare_versions(of, version) <= 0 && (!last || compare_versions(of, since) > 0)) {
            last = e;
            since = of;
        }
    }
    if (last || first)
        return last ? last : first;
    return network->n_engines ? &network->engines[0] : NULL;
}
