#include "hw/network.h"

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
