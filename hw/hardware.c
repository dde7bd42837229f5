/* Names to hardware: presets and files; building, ownership, getters, routes. */
#include "hw/hardware.h"

#include "hw/set.h"
#include "hw/spec.h"
#include "sim/base/data.h"

#include <string.h>

/* A write takes what a read does unless it says otherwise. */
static moe_place_energy
both_ways(moe_place_energy energy)
{
    return (moe_place_energy){energy.read, energy.write < 0 ? energy.read : energy.write};
}

static void
build_places(moe_hardware_set *set, const moe_hardware_spec *spec)
{
    const moe_place_spec *from = spec->places.items;

    set->places = g_new0(moe_place, spec->places.n);
    for (size_t i = 0; i < spec->places.n; i++)
        set->places[i] = (moe_place){
            .name = from[i].name,
            .capacity = from[i].capacity,
            .reserved = from[i].reserved,
            .read_bytes_per_s = moe_spec_read(&from[i]),
            .idle_watt = from[i].idle_watt,
            .device_energy = both_ways(from[i].device_energy),
            .board_energy = both_ways(from[i].board_energy),
        };
}

static double
either(double own, double other)
{
    return own > 0 ? own : other;
}

/* Its own kernels; what is not said of experts and attention is as of dense products. */
static void
build_kernels(moe_device *device, const moe_device_spec *d)
{
    device->gemm = d->gemm;
    device->experts = d->experts;
    device->experts.efficiency = either(d->experts.efficiency, d->gemm.efficiency);
    device->experts.stream_efficiency =
        either(d->experts.stream_efficiency, d->gemm.stream_efficiency);
    device->experts.half_rows = either(d->experts.half_rows, d->gemm.half_rows);
    device->attention = d->attention;
    device->attention.efficiency = either(d->attention.efficiency, d->gemm.efficiency);
    device->attention.stream_efficiency =
        either(d->attention.stream_efficiency, d->gemm.stream_efficiency);
}

static moe_device
build_device(const moe_hardware_spec *spec, const moe_device_spec *d, const moe_kernels *kernels)
{
    moe_device device = {
        .name = d->name,
        .matches = d->matches,
        .kind = (moe_device_kind)d->kind,
        .place = moe_spec_place(spec, d->place),
        .peak = d->peak,
        .capability = d->capability,
        .sms = d->sms,
        .l2_bytes = d->l2,
        .kernels = kernels,
        .launch_ps = d->launch,
        .graph_launch_ps = d->launch_in_graph > 0 ? d->launch_in_graph : d->launch,
        .dequant_bytes_per_s = d->dequant,
        .idle_watt = d->idle_watt,
        .peak_watt = d->peak_watt,
        .base_watt = d->base_watt,
        .device_energy = d->device_energy,
        .board_energy = d->board_energy,
    };
    build_kernels(&device, d);
    return device;
}

static moe_hw_link
build_link(const moe_hardware_spec *spec, const moe_link_spec *l)
{
    return (moe_hw_link){
        .name = l->name,
        .from = moe_spec_place(spec, l->from),
        .to = moe_spec_place(spec, l->to),
        .bytes_per_s = l->rate,
        .peak_bytes_per_s = l->peak > 0 ? l->peak : l->rate,
        .pageable_bytes_per_s = l->pageable,
        .latency_ps = l->latency,
        .pageable_latency_ps = l->pageable_latency > 0 ? l->pageable_latency : l->latency,
        .queued_ps = l->per_copy > 0 ? l->per_copy : l->latency,
        .request_bytes = l->request,
        .depth = l->depth,
        .channel_bytes_per_s = l->channel,
        .iops = l->iops,
        .duplex = l->duplex,
        .chunk_bytes = l->chunk,
        .engine = (int)l->engine,
        .wire = (int)l->wire,
        .device_energy = l->device_energy,
        .board_energy = l->board_energy,
    };
}

/* The loaded library of this name; NULL without one. */
static const moe_kernels *
library(const moe_hardware_set *set, const char *name)
{
    moe_kernels_set *found = name ? g_hash_table_lookup(set->libraries, name) : NULL;
    return found ? moe_kernels_get(found) : NULL;
}

static void
free_library(void *data)
{
    moe_kernels_free(data);
}

/* Loads what devices name; false after messages. */
static bool
load_libraries(moe_hardware_set *set, const moe_hardware_spec *spec, const moe_yaml *root,
               const char *path, moe_diag *diag, GError **error)
{
    g_autofree char *beside = g_path_get_dirname(path);
    const moe_device_spec *devices = spec->devices.items;

    set->libraries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_library);
    for (size_t i = 0; i < spec->devices.n; i++) {
        const char *name = devices[i].kernels;
        if (!name || g_hash_table_contains(set->libraries, name))
            continue;
        moe_kernels_set *kernels =
            moe_kernels_load(name, beside, moe_spec_at(root, "devices", i, "kernels"), diag, error);
        if (!kernels)
            return false;
        g_hash_table_insert(set->libraries, g_strdup(name), kernels);
    }
    return true;
}

static void
build(moe_hardware_set *set, const moe_hardware_spec *spec)
{
    const moe_device_spec *devices = spec->devices.items;
    const moe_link_spec *links = spec->links.items;

    build_places(set, spec);
    set->devices = g_new0(moe_device, spec->devices.n);
    for (size_t i = 0; i < spec->devices.n; i++)
        set->devices[i] = build_device(spec, &devices[i], library(set, devices[i].kernels));
    set->links = g_new0(moe_hw_link, spec->links.n);
    for (size_t i = 0; i < spec->links.n; i++)
        set->links[i] = build_link(spec, &links[i]);
    set->hw = (moe_hardware){
        .name = set->name,
        .source = spec->source ? spec->source : "",
        .n_devices = (int)spec->devices.n,
        .n_places = (int)spec->places.n,
        .n_links = (int)spec->links.n,
        .devices = set->devices,
        .places = set->places,
        .links = set->links,
        .network = {(int)spec->network.n, (int)spec->engines.n, spec->network.items,
                    spec->engines.items},
        .host = spec->host ? moe_spec_device(spec, spec->host) : -1,
        .price_per_hour = spec->price_per_hour,
    };
}

static moe_hardware_set *
read_doc(const moe_yaml_doc *doc, const char *path, const char *name, moe_diag *diag,
         GError **error)
{
    const moe_yaml *root = moe_yaml_root(doc);
    unsigned before = moe_diag_errors(diag);

    if (root->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, root->loc, "a hardware description is a map of keys, not %s",
                       moe_yaml_kind_name(root->kind));
        return NULL;
    }
    g_autoptr(moe_hardware_set) set = g_new0(moe_hardware_set, 1);
    set->settings = moe_settings_new(&moe_hardware_table);
    moe_settings_read(set->settings, root, NULL, true, diag);
    if (moe_diag_errors(diag) != before)
        return NULL;
    const moe_hardware_spec *spec = moe_settings_data(set->settings);
    if (!moe_hardware_check(spec, root, diag) ||
        !load_libraries(set, spec, root, path, diag, error))
        return NULL;
    if (spec->name || name)
        set->name = g_strdup(spec->name ? spec->name : name);
    else
        set->name = moe_data_stem(path);
    build(set, spec);
    return g_steal_pointer(&set);
}

moe_hardware_set *
moe_hardware_read(const char *path, const char *name, moe_diag *diag, GError **error)
{
    g_autoptr(moe_yaml_doc) doc = moe_yaml_load(path, diag, error);
    return doc ? read_doc(doc, path, name, diag, error) : NULL;
}

moe_hardware_set *
moe_hardware_parse(const char *path, const char *text, size_t length, const char *name,
                   moe_diag *diag)
{
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse(path, text, length, diag);
    g_autoptr(GError) error = NULL;
    moe_hardware_set *set = doc ? read_doc(doc, path, name, diag, &error) : NULL;
    if (error)
        moe_diag_error(diag, (moe_loc){.file = path}, "%s", error->message);
    return set;
}

static void
unknown_hardware(const char *name, moe_loc at, moe_diag *diag)
{
    g_auto(GStrv) presets = moe_data_presets("hw/presets");
    const char *closest =
        presets ? moe_suggest(name, (const char *const *)presets, g_strv_length(presets)) : NULL;

    if (closest)
        moe_diag_error(diag, at, "unknown hardware '%s'; did you mean '%s'?", name, closest);
    else
        moe_diag_error(diag, at, "unknown hardware '%s': neither a preset nor a file", name);
}

moe_hardware_set *
moe_hardware_load(const char *name, const char *beside, moe_loc at, moe_diag *diag, GError **error)
{
    g_autofree char *preset = moe_data_preset("hw/presets", name);
    if (preset)
        return moe_hardware_read(preset, name, diag, error);
    g_autofree char *path = moe_data_find(name, beside);
    if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        unknown_hardware(name, at, diag);
        return NULL;
    }
    return moe_hardware_read(moe_diag_intern(diag, path), NULL, diag, error);
}

void
moe_hardware_free(moe_hardware_set *set)
{
    if (!set)
        return;
    g_clear_pointer(&set->settings, moe_settings_free);
    g_clear_pointer(&set->libraries, g_hash_table_destroy);
    g_free(set->devices);
    g_free(set->places);
    g_free(set->links);
    g_free(set->name);
    g_free(set);
}

const moe_hardware *
moe_hardware_get(const moe_hardware_set *set)
{
    return &set->hw;
}

const moe_provenance *
moe_hardware_provenance(const moe_hardware_set *set, size_t *n)
{
    return moe_settings_provenance(set->settings, n);
}

int
moe_hardware_place(const moe_hardware *hw, const char *name)
{
    for (int i = 0; i < hw->n_places; i++)
        if (!strcmp(hw->places[i].name, name))
            return i;
    return -1;
}

/* Shortest ways with a given number of hops: seconds per byte, and the link that ends each. */
typedef struct way {
    double cost;
    int link; /* -1: no way */
} way;

/* One more hop: next[p] from all ways that end in some place. Ties keep the lower link. */
static void
extend(const moe_hardware *hw, const way *last, way *next)
{
    for (int p = 0; p < hw->n_places; p++)
        next[p] = (way){0, -1};
    for (int l = 0; l < hw->n_links; l++) {
        const moe_hw_link *link = &hw->links[l];
        if (last[link->from].link == -1)
            continue;
        double cost = last[link->from].cost + 1 / link->bytes_per_s;
        way *w = &next[link->to];
        if (w->link == -1 || cost < w->cost)
            *w = (way){cost, l};
    }
}

int
moe_hardware_route(const moe_hardware *hw, int from, int to, int *links, int max)
{
    way ways[MOE_HW_MAX_PLACES][MOE_HW_MAX_PLACES];

    if (from == to)
        return 0;
    moe_assert(hw->n_places <= MOE_HW_MAX_PLACES, "%d places", hw->n_places);
    for (int p = 0; p < hw->n_places; p++)
        ways[0][p] = (way){0, p == from ? hw->n_links : -1};
    for (int hops = 1; hops < hw->n_places; hops++) {
        extend(hw, ways[hops - 1], ways[hops]);
        if (ways[hops][to].link == -1)
            continue;
        moe_assert(hops <= max, "%d hops, room for %d", hops, max);
        for (int h = hops, p = to; h > 0; h--) {
            links[h - 1] = ways[h][p].link;
            p = hw->links[ways[h][p].link].from;
        }
        return hops;
    }
    return -1;
}
