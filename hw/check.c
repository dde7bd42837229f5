/* What a hardware description must fulfil beyond the range of each value. */
#include "hw/spec.h"

#include <inttypes.h>
#include <string.h>

#define LEAST_RATE 1e5  /* of bytes per second */
#define LEAST_FLOPS 1e8 /* of FLOPs */

typedef struct checker {
    const moe_hardware_spec *spec;
    const moe_yaml *root;
    moe_diag *diag;
} checker;

static const moe_place_spec *
places(const checker *c)
{
    return c->spec->places.items;
}

static const moe_device_spec *
devices(const checker *c)
{
    return c->spec->devices.items;
}

static const moe_link_spec *
links(const checker *c)
{
    return c->spec->links.items;
}

static const moe_level *
levels(const checker *c)
{
    return c->spec->network.items;
}

moe_loc
moe_spec_at(const moe_yaml *root, const char *list, size_t i, const char *key)
{
    const moe_yaml *node = moe_yaml_get(root, list);

    if (!node)
        return root->loc;
    if (node->kind == MOE_YAML_LIST && i < node->n)
        node = &node->items[i];
    const moe_yaml *value = node->kind == MOE_YAML_MAP ? moe_yaml_get(node, key) : NULL;
    return value ? value->loc : node->loc;
}

static moe_loc
at(const checker *c, const char *list, size_t i, const char *key)
{
    return moe_spec_at(c->root, list, i, key);
}

double
moe_spec_read(const moe_place_spec *place)
{
    return place->read > 0 ? place->read : (double)place->channels * place->channel;
}

/* Of one of a device's peaks, or of what contains it. */
static moe_loc
peak_at(const checker *c, size_t i, const char *name)
{
    const moe_yaml *list = moe_yaml_get(c->root, "devices");
    const moe_yaml *device =
        list && list->kind == MOE_YAML_LIST && i < list->n ? &list->items[i] : NULL;
    const moe_yaml *peak =
        device && device->kind == MOE_YAML_MAP ? moe_yaml_get(device, "peak") : NULL;
    const moe_yaml *value = peak && peak->kind == MOE_YAML_MAP ? moe_yaml_get(peak, name) : NULL;
    return value ? value->loc : at(c, "devices", i, "peak");
}

int
moe_spec_place(const moe_hardware_spec *spec, const char *name)
{
    const moe_place_spec *place = spec->places.items;

    for (size_t i = 0; i < spec->places.n; i++)
        if (!strcmp(place[i].name, name))
            return (int)i;
    return -1;
}

int
moe_spec_device(const moe_hardware_spec *spec, const char *name)
{
    const moe_device_spec *device = spec->devices.items;

    for (size_t i = 0; i < spec->devices.n; i++)
        if (!strcmp(device[i].name, name))
            return (int)i;
    return -1;
}

static void
unknown_place(const checker *c, moe_loc loc, const char *name)
{
    const char *names[MOE_HW_MAX_PLACES];
    size_t n = c->spec->places.n;

    for (size_t i = 0; i < n; i++)
        names[i] = places(c)[i].name;
    const char *closest = moe_suggest(name, names, n);
    if (closest)
        moe_diag_error(c->diag, loc, "unknown place '%s'; did you mean '%s'?", name, closest);
    else
        moe_diag_error(c->diag, loc, "unknown place '%s'", name);
}

/* Names of list elements must differ; `name_of` gets one. */
static void
check_names(const checker *c, const char *list, size_t n,
            const char *(*name_of)(const checker *c, size_t i))
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(name_of(c, i), name_of(c, j))) {
                moe_diag_error(c->diag, at(c, list, i, "name"), "two %s are called '%s'", list,
                               name_of(c, i));
                break;
            }
}

static const char *
place_name(const checker *c, size_t i)
{
    return places(c)[i].name;
}

static const char *
device_name(const checker *c, size_t i)
{
    return devices(c)[i].name;
}

static const char *
link_name(const checker *c, size_t i)
{
    return links(c)[i].name;
}

static void
check_place(const checker *c, size_t i)
{
    const moe_place_spec *p = &places(c)[i];

    if (p->reserved >= p->capacity)
        moe_diag_error(c->diag, at(c, "places", i, "reserved"),
                       "all of '%s' is reserved: %" PRId64 " of %" PRId64 " bytes", p->name,
                       p->reserved, p->capacity);
    if (moe_spec_read(p) < 1e6)
        moe_diag_error(c->diag, at(c, "places", i, "read"),
                       "'%s' wants its peak bandwidth: 'read', or 'channels' and 'channel'",
                       p->name);
    if (p->channels > 0 && p->channel > 0 && p->read > (double)p->channels * p->channel)
        moe_diag_error(c->diag, at(c, "places", i, "read"),
                       "'%s' reads faster than its channels together", p->name);
    if (i && moe_spec_read(p) > moe_spec_read(&p[-1]))
        moe_diag_error(c->diag, at(c, "places", i, "read"),
                       "places go from fast to slow, but '%s' is faster than '%s'", p->name,
                       p[-1].name);
}

/* Narrower numbers are not computed more slowly: hardware that cannot do them widens them. */
static void
check_peaks(const checker *c, size_t i)
{
    const moe_device_spec *d = &devices(c)[i];
    const struct {
        const char *name;
        double rate;
    } rates[] = {
        {"fp32", d->peak.fp32}, {"bf16", d->peak.bf16}, {"fp8", d->peak.fp8}, {"fp4", d->peak.fp4}};
    size_t wider = 0;

    for (size_t r = 1; r < MOE_COUNT(rates); r++) {
        if (rates[r].rate <= 0)
            continue;
        if (rates[r].rate < rates[wider].rate)
            moe_diag_error(c->diag, peak_at(c, i, rates[r].name),
                           "'%s' computes more slowly in %s than in %s", d->name, rates[r].name,
                           rates[wider].name);
        wider = r;
    }
    if (d->peak.int8 > 0 && d->peak.int8 < d->peak.fp32)
        moe_diag_error(c->diag, peak_at(c, i, "int8"),
                       "'%s' computes more slowly in int8 than in fp32", d->name);
}

static void
check_cache(const checker *c, size_t i)
{
    const moe_device_spec *d = &devices(c)[i];
    int place = moe_spec_place(c->spec, d->place);

    if (place >= 0 && d->l2 >= places(c)[place].capacity)
        moe_diag_error(c->diag, at(c, "devices", i, "l2"),
                       "'%s' has a cache as large as '%s', the memory behind it: %" PRId64
                       " of %" PRId64 " bytes",
                       d->name, d->place, d->l2, places(c)[place].capacity);
}

static void
check_device(const checker *c, size_t i)
{
    const moe_device_spec *d = &devices(c)[i];

    if (moe_spec_place(c->spec, d->place) < 0)
        unknown_place(c, at(c, "devices", i, "place"), d->place);
    if (d->peak.fp32 <= 0 && d->peak.bf16 <= 0)
        moe_diag_error(c->diag, at(c, "devices", i, "peak"),
                       "'%s' wants at least one of peak.bf16 and peak.fp32", d->name);
    if (d->peak_watt > 0 && d->idle_watt > d->peak_watt)
        moe_diag_error(c->diag, at(c, "devices", i, "power"),
                       "'%s' takes more power when idle than under load", d->name);
    if (d->peak_watt > 0 && d->base_watt > d->peak_watt)
        moe_diag_error(c->diag, at(c, "devices", i, "board_energy"),
                       "'%s' takes more power before any FLOP or byte than under load", d->name);
    check_peaks(c, i);
    check_cache(c, i);
}

/* How many links before i have its wire; at most one may, and it leads the other way. */
static void
check_wire(const checker *c, size_t i)
{
    const moe_link_spec *l = &links(c)[i];
    size_t before = 0;

    for (size_t j = 0; l->wire >= 0 && j < i; j++) {
        const moe_link_spec *other = &links(c)[j];
        if (other->wire != l->wire)
            continue;
        before++;
        if (strcmp(other->from, l->to) || strcmp(other->to, l->from) || before > 1)
            moe_diag_error(c->diag, at(c, "links", i, "wire"),
                           "wire %" PRId64 " belongs to '%s'; only the link the other way can "
                           "share it",
                           l->wire, other->name);
    }
}

/* Bytes per second that a link's requests carry, whatever its rate. */
static double
rate_of_requests(const moe_link_spec *l)
{
    double channel = l->channel > 0 ? l->channel : l->rate, request = (double)l->request;
    double each = (double)l->latency / 1e12 + request / channel;
    double in_flight = (double)l->depth * request / each, paced = l->iops * request;

    return l->iops > 0 && paced < in_flight ? paced : in_flight;
}

/* What a link says of its requests. */
static void
check_requests(const checker *c, size_t i)
{
    const moe_link_spec *l = &links(c)[i];

    if (l->request > 0 && rate_of_requests(l) < LEAST_RATE)
        moe_diag_error(c->diag, at(c, "links", i, "request"),
                       "'%s' carries %.3g bytes per second by its requests, less than 100 kB/s",
                       l->name, rate_of_requests(l));

    if (l->depth > 1 && l->request <= 0)
        moe_diag_error(c->diag, at(c, "links", i, "depth"),
                       "'%s' has requests in flight, but no 'request' says how large they are",
                       l->name);
    if (l->channel > l->rate)
        moe_diag_error(c->diag, at(c, "links", i, "channel"),
                       "'%s' is faster with one request than with many", l->name);
    if (l->iops > 0 && l->iops < 1)
        moe_diag_error(c->diag, at(c, "links", i, "iops"),
                       "'%s' takes less than one request a second", l->name);
    if (l->per_copy > l->latency)
        moe_diag_error(c->diag, at(c, "links", i, "per_copy"),
                       "'%s' costs more behind another transfer than alone", l->name);
}

static void
check_link(const checker *c, size_t i)
{
    const moe_link_spec *l = &links(c)[i];

    if (moe_spec_place(c->spec, l->from) < 0)
        unknown_place(c, at(c, "links", i, "from"), l->from);
    if (moe_spec_place(c->spec, l->to) < 0)
        unknown_place(c, at(c, "links", i, "to"), l->to);
    if (!strcmp(l->from, l->to))
        moe_diag_error(c->diag, at(c, "links", i, "to"), "'%s' leads back to where it starts",
                       l->name);
    if (l->peak > 0 && l->rate > l->peak)
        moe_diag_error(c->diag, at(c, "links", i, "rate"),
                       "'%s' achieves more than its peak bandwidth", l->name);
    if (l->wire < 0 && l->duplex != 0.5)
        moe_diag_error(c->diag, at(c, "links", i, "duplex"),
                       "'%s' has a wire of its own, so that 'duplex' says nothing about it",
                       l->name);
    if (l->pageable > l->rate)
        moe_diag_error(c->diag, at(c, "links", i, "pageable"),
                       "'%s' is faster from pageable memory than from pinned", l->name);
    check_requests(c, i);
    check_wire(c, i);
}

static const char *
level_name(const checker *c, size_t i)
{
    return levels(c)[i].name;
}

static const char *
engine_name(const checker *c, size_t i)
{
    return ((const moe_engine *)c->spec->engines.items)[i].name;
}

/* A rate that is said, but so low that a run would outlast the clock. */
static void
check_least(const checker *c, const char *list, const void *items, size_t n, size_t stride)
{
    g_autofree char *prefix = g_strconcat(list, ".*.", NULL);

    for (size_t r = 0; r < moe_hardware_table.n_rows; r++) {
        const moe_param *row = &moe_hardware_table.rows[r];
        bool flops = row->type == MOE_PARAM_FLOPS;
        double least = flops ? LEAST_FLOPS : LEAST_RATE;
        if ((!flops && row->type != MOE_PARAM_RATE) || !g_str_has_prefix(row->key, prefix))
            continue;
        g_auto(GStrv) keys = g_strsplit(row->key + strlen(prefix), ".", 2);
        for (size_t i = 0; i < n; i++) {
            double value;
            memcpy(&value, (const char *)items + i * stride + row->offset, sizeof value);
            if (value > 0 && value < least)
                moe_diag_error(c->diag, at(c, list, i, keys[0]),
                               "'%s' is %.3g per second; %s at least", row->key + strlen(prefix),
                               value, flops ? "peaks are 0.1 GFLOPS" : "rates are 100 kB/s");
        }
    }
}

static void
check_rates(const checker *c)
{
    const moe_hardware_spec *s = c->spec;

    check_least(c, "places", s->places.items, s->places.n, sizeof(moe_place_spec));
    check_least(c, "devices", s->devices.items, s->devices.n, sizeof(moe_device_spec));
    check_least(c, "links", s->links.items, s->links.n, sizeof(moe_link_spec));
    check_least(c, "network", s->network.items, s->network.n, sizeof(moe_level));
    check_least(c, "engines", s->engines.items, s->engines.n, sizeof(moe_engine));
}

static void
check_host(const checker *c)
{
    const moe_yaml *node = moe_yaml_get(c->root, "host");
    const char *name = c->spec->host;

    if (!name)
        return;
    int host = moe_spec_device(c->spec, name);
    if (host < 0)
        moe_diag_error(c->diag, node ? node->loc : c->root->loc, "unknown device '%s'", name);
    else if (devices(c)[host].kind != MOE_DEVICE_CPU)
        moe_diag_error(c->diag, node ? node->loc : c->root->loc,
                       "'%s' is not of kind cpu, so it cannot be the host", name);
}

bool
moe_hardware_check(const moe_hardware_spec *spec, const moe_yaml *root, moe_diag *diag)
{
    const checker c = {spec, root, diag};
    unsigned before = moe_diag_errors(diag);

    if (!spec->places.n || !spec->devices.n)
        moe_diag_error(diag, root->loc, "a machine has at least one place and one device");
    check_names(&c, "places", spec->places.n, place_name);
    check_names(&c, "devices", spec->devices.n, device_name);
    check_names(&c, "links", spec->links.n, link_name);
    check_names(&c, "network", spec->network.n, level_name);
    check_names(&c, "engines", spec->engines.n, engine_name);
    for (size_t i = 0; i < spec->places.n; i++)
        check_place(&c, i);
    for (size_t i = 0; i < spec->devices.n; i++)
        check_device(&c, i);
    for (size_t i = 0; i < spec->links.n; i++)
        check_link(&c, i);
    moe_network_check(spec, root, diag);
    check_rates(&c);
    check_host(&c);
    return moe_diag_errors(diag) == before;
}
