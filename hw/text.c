/* Hardware as canonical text, and as text for people. */
#include "hw/hardware.h"
#include "hw/set.h"
#include "hw/spec.h"

#include <inttypes.h>
#include <string.h>

static void
real(GString *out, const char *name, double value)
{
    char number[32];
    g_string_append_printf(out, " %s=%s", name, moe_format_real(number, value));
}

static void
integer(GString *out, const char *name, int64_t value)
{
    g_string_append_printf(out, " %s=%" PRId64, name, value);
}

/* Numbers that came later are part of a machine's identity only where they say something. */
static void
real_unless(GString *out, const char *name, double value, double fallback)
{
    if (value != fallback)
        real(out, name, value);
}

static void
integer_unless(GString *out, const char *name, int64_t value, int64_t fallback)
{
    if (value != fallback)
        integer(out, name, value);
}

static void
canonical_kernels(const moe_device *d, GString *out)
{
    const moe_gemm_kernel *gemm = &d->gemm;
    const moe_expert_kernel *experts = &d->experts;
    const moe_attention_kernel *attention = &d->attention;

    real_unless(out, "attention_efficiency", attention->efficiency, gemm->efficiency);
    real_unless(out, "expert_stream_efficiency", experts->stream_efficiency,
                gemm->stream_efficiency);
    real_unless(out, "attention_stream_efficiency", attention->stream_efficiency,
                gemm->stream_efficiency);
    real_unless(out, "expert_pass_efficiency", experts->pass_efficiency, 0);
    real_unless(out, "attention_pass_efficiency", attention->pass_efficiency, 0);
    real_unless(out, "expert_half_rows", experts->half_rows, gemm->half_rows);
    real_unless(out, "attention_half_keys", attention->half_keys, 0);
    integer_unless(out, "tile", experts->tile, 1);
    integer_unless(out, "launch_in_graph", d->graph_launch_ps, d->launch_ps);
    integer_unless(out, "gemm_fixed", gemm->fixed_ps, 0);
    integer_unless(out, "expert_fixed", experts->fixed_ps, 0);
    integer_unless(out, "attention_fixed", attention->fixed_ps, 0);
    integer_unless(out, "per_head", attention->head_ps, 0);
}

static void
canonical_device(const moe_device *d, GString *out)
{
    g_string_append_printf(out, "device %s kind=%d place=%d", d->name, (int)d->kind, d->place);
    real(out, "fp32", d->peak.fp32);
    real(out, "bf16", d->peak.bf16);
    real(out, "fp8", d->peak.fp8);
    real(out, "int8", d->peak.int8);
    real_unless(out, "fp4", d->peak.fp4, 0);
    real_unless(out, "capability", d->capability, 0);
    integer_unless(out, "sms", d->sms, 0);
    integer_unless(out, "l2", d->l2_bytes, 0);
    real(out, "gemm_efficiency", d->gemm.efficiency);
    real(out, "expert_efficiency", d->experts.efficiency);
    real(out, "stream_efficiency", d->gemm.stream_efficiency);
    real(out, "half_rows", d->gemm.half_rows);
    integer(out, "launch", d->launch_ps);
    integer(out, "per_expert", d->experts.expert_ps);
    real(out, "dequant", d->dequant_bytes_per_s);
    real(out, "idle_power", d->idle_watt);
    real(out, "peak_power", d->peak_watt);
    canonical_kernels(d, out);
    g_string_append_c(out, '\n');
    if (d->kernels)
        moe_kernels_canonical(d->kernels, out);
}

static void
canonical_link(const moe_hw_link *l, GString *out)
{
    g_string_append_printf(out, "link %s from=%d to=%d", l->name, l->from, l->to);
    real(out, "rate", l->bytes_per_s);
    real(out, "peak", l->peak_bytes_per_s);
    real(out, "pageable", l->pageable_bytes_per_s);
    integer(out, "latency", l->latency_ps);
    integer(out, "chunk", l->chunk_bytes);
    integer(out, "engine", l->engine);
    integer(out, "wire", l->wire);
    integer_unless(out, "pageable_latency", l->pageable_latency_ps, l->latency_ps);
    real_unless(out, "duplex", l->duplex, 0.5);
    integer_unless(out, "per_copy", l->queued_ps, l->latency_ps);
    integer_unless(out, "request", l->request_bytes, 0);
    integer_unless(out, "depth", l->depth, 1);
    real_unless(out, "channel", l->channel_bytes_per_s, 0);
    real_unless(out, "iops", l->iops, 0);
    g_string_append_c(out, '\n');
}

/* Every number that is set of an element of a list whose rows begin with `prefix`. */
static void
canonical_element(const char *prefix, const void *element, GString *out)
{
    for (size_t r = 0; r < moe_hardware_table.n_rows; r++) {
        const moe_param *row = &moe_hardware_table.rows[r];
        const void *at = (const char *)element + row->offset;
        if (!g_str_has_prefix(row->key, prefix))
            continue;
        const char *name = row->key + strlen(prefix);
        if (row->type == MOE_PARAM_BOOL)
            integer_unless(out, name, *(const bool *)at, 0);
        else if (row->type == MOE_PARAM_INT || row->type == MOE_PARAM_TIME ||
                 row->type == MOE_PARAM_BYTES)
            integer_unless(out, name, *(const int64_t *)at, 0);
        else if (row->type != MOE_PARAM_TEXT && row->type != MOE_PARAM_ENUM)
            real_unless(out, name, *(const double *)at, 0);
    }
    g_string_append_c(out, '\n');
}

static void
canonical_network(const moe_network *network, GString *out)
{
    for (int i = 0; i < network->n_levels; i++) {
        const moe_level *l = &network->levels[i];
        g_string_append_printf(out, "network %s kind=%d", l->name, l->kind);
        canonical_element("network.*.", l, out);
    }
    for (int i = 0; i < network->n_engines; i++) {
        g_string_append_printf(out, "engine %s", network->engines[i].name);
        canonical_element("engines.*.", &network->engines[i], out);
    }
}

void
moe_hardware_canonical(const moe_hardware *hw, GString *out)
{
    g_string_append_printf(out, "hardware host=%d", hw->host);
    real(out, "price_per_hour", hw->price_per_hour);
    g_string_append_c(out, '\n');
    for (int i = 0; i < hw->n_places; i++) {
        const moe_place *p = &hw->places[i];
        g_string_append_printf(out, "place %s", p->name);
        integer(out, "capacity", p->capacity);
        integer(out, "reserved", p->reserved);
        real(out, "read", p->read_bytes_per_s);
        g_string_append_c(out, '\n');
    }
    for (int i = 0; i < hw->n_devices; i++)
        canonical_device(&hw->devices[i], out);
    for (int i = 0; i < hw->n_links; i++)
        canonical_link(&hw->links[i], out);
    canonical_network(&hw->network, out);
}

static void
describe_places(const moe_hardware *hw, GString *out)
{
    for (int i = 0; i < hw->n_places; i++) {
        const moe_place *p = &hw->places[i];
        g_autofree char *capacity = moe_format_bytes(p->capacity);
        g_autofree char *usable = moe_format_bytes(p->capacity - p->reserved);
        g_autofree char *rate = moe_format_rate(p->read_bytes_per_s);
        g_string_append_printf(out, "  place %-8s %s (%s usable), %s\n", p->name, capacity, usable,
                               rate);
    }
}

static void
describe_devices(const moe_hardware *hw, GString *out)
{
    for (int i = 0; i < hw->n_devices; i++) {
        const moe_device *d = &hw->devices[i];
        double rate = d->peak.bf16 > 0 ? d->peak.bf16 : d->peak.fp32;
        g_string_append_printf(out, "  device %-8s computes from %s, %.4g TFLOPS at %s bits%s",
                               d->name, hw->places[d->place].name, rate / 1e12,
                               d->peak.bf16 > 0 ? "16" : "32", i == hw->host ? ", host" : "");
        if (d->kernels)
            g_string_append_printf(out, ", kernels of %s", d->kernels->name);
        g_string_append_c(out, '\n');
    }
}

/* "; 8 requests of 64.0 KiB at a time, 1.20 GB/s each, at most 60000 per second" */
static void
describe_requests(const moe_hw_link *l, GString *out)
{
    g_autofree char *size = moe_format_bytes(l->request_bytes);
    g_autofree char *channel = moe_format_rate(l->channel_bytes_per_s);
    if (l->request_bytes > 0)
        g_string_append_printf(out, "; %" PRId64 " requests of %s at a time", l->depth, size);
    if (l->channel_bytes_per_s > 0)
        g_string_append_printf(out, ", %s each", channel);
    if (l->iops > 0)
        g_string_append_printf(out, ", at most %.0f per second", l->iops);
}

static void
describe_links(const moe_hardware *hw, GString *out)
{
    for (int i = 0; i < hw->n_links; i++) {
        const moe_hw_link *l = &hw->links[i];
        g_autofree char *rate = moe_format_rate(l->bytes_per_s);
        g_autofree char *peak = moe_format_rate(l->peak_bytes_per_s);
        g_autofree char *latency = moe_format_time(l->latency_ps);
        g_string_append_printf(out, "  link %-10s %s -> %s, %s of %s, latency %s", l->name,
                               hw->places[l->from].name, hw->places[l->to].name, rate, peak,
                               latency);
        describe_requests(l, out);
        g_string_append_c(out, '\n');
    }
}

static void
describe_network(const moe_network *network, GString *out)
{
    static const char *const kinds[] = {"switch", "mesh", "ring", "host bridges"};

    for (int i = 0; i < network->n_levels; i++) {
        const moe_level *l = &network->levels[i];
        g_autofree char *rate = moe_format_rate(l->bytes_per_s);
        g_autofree char *peak = moe_format_rate(l->peak_bytes_per_s);
        g_string_append_printf(out, "  network %-7s %" PRId64 " ranks by %s%s, %s of %s each way\n",
                               l->name, l->ranks, kinds[l->kind], l->rails ? " on rails" : "", rate,
                               peak);
    }
}

/* A number that names no basis counts as an estimate. */
static bool
is_estimate(const moe_provenance *p)
{
    return !*p->basis || !strcmp(p->basis, "estimate");
}

static void
describe_sources(const moe_hardware_set *set, GString *out)
{
    size_t n = 0, estimates = 0;
    const moe_provenance *all = moe_settings_provenance(set->settings, &n);

    g_string_append(out, "  numbers (* an estimate)\n");
    for (size_t i = 0; i < n; i++) {
        const moe_provenance *p = &all[i];
        g_autofree char *value = moe_settings_text(set->settings, p->key);
        estimates += is_estimate(p);
        g_string_append_printf(out, "  %c %s = %s (%s)", is_estimate(p) ? '*' : ' ', p->key,
                               value ? value : "?", *p->basis ? p->basis : "estimate");
        if (*p->source)
            g_string_append_printf(out, " %s", p->source);
        if (*p->note)
            g_string_append_printf(out, "; %s", p->note);
        g_string_append_c(out, '\n');
    }
    g_string_append_printf(out, "  %zu numbers, %zu of them estimates\n", n, estimates);
}

void
moe_hardware_describe(const moe_hardware_set *set, bool verbose, GString *out)
{
    const moe_hardware *hw = &set->hw;

    g_string_append_printf(out, "%s\n", hw->name);
    if (*hw->source)
        g_string_append_printf(out, "  source: %s\n", hw->source);
    describe_places(hw, out);
    describe_devices(hw, out);
    describe_links(hw, out);
    describe_network(&hw->network, out);
    if (verbose)
        describe_sources(set, out);
}
