#include "sim/machine/energy.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define MICRO 1e6 /* microjoules in a joule */

static const char *const part_names[] = {"compute", "memory", "link", "idle"};

/* By phase, and by the number of a device (compute), place (memory) or link; of idle power,
 * devices first, then places. */
typedef struct account {
    int64_t *parts[MOE_N_ENERGY_PARTS][2];
    int64_t kernels;
} account;

static moe_energy_mode
mode_of(const moe_plan *plan)
{
    return (moe_energy_mode)plan->config->energy.mode;
}

/* ---- what is known ---- */

static bool
uses_host(const moe_plan *plan)
{
    const moe_serve_ops *serve = plan->config->experts.serve.variant->ops;
    return plan->offloaded && serve->uses_host;
}

static const char *
side(moe_energy_mode mode)
{
    return mode == MOE_ENERGY_BOARD ? "board_energy" : "device_energy";
}

/* Notes "what of kind 'name'", each once. */
MOE_PRINTF(2, 3)
static void
lacks(GPtrArray *unknown, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (g_ptr_array_find_with_equal_func(unknown, text, g_str_equal, NULL))
        g_free(text);
    else
        g_ptr_array_add(unknown, text);
}

/* What kernels of a device need: its arithmetic, reading its place. */
static void
device_unknown(const moe_plan *plan, const moe_device *device, GPtrArray *unknown)
{
    moe_energy_mode mode = mode_of(plan);
    double bits = moe_lowering_precision(plan->model, plan->config).activations;
    const moe_place *place = &plan->hw->places[device->place];
    if (moe_energy_flop(device, mode, bits) < 0)
        lacks(unknown, "%s of device '%s'", moe_energy_flop_key(device, mode, bits), device->name);
    if (moe_energy_read(place, mode) < 0)
        lacks(unknown, "%s.read of place '%s'", side(mode), place->name);
}

static void
link_unknown(const moe_plan *plan, const moe_hw_link *link, GPtrArray *unknown)
{
    moe_energy_mode mode = mode_of(plan);
    const moe_place *from = &plan->hw->places[link->from], *to = &plan->hw->places[link->to];
    if (moe_energy_read(from, mode) < 0)
        lacks(unknown, "%s.read of place '%s'", side(mode), from->name);
    if (moe_energy_write(to, mode) < 0)
        lacks(unknown, "%s.write of place '%s'", side(mode), to->name);
    if (moe_energy_link(link, mode) < 0)
        lacks(unknown, "%s of link '%s'", side(mode), link->name);
}

/* "a", "a and b", "a, b and c"; NULL of none. */
static char *
listed(const GPtrArray *words)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < words->len; i++)
        g_string_append_printf(text, "%s%s",
                               i == 0               ? ""
                               : i + 1 < words->len ? ", "
                                                    : " and ",
                               (const char *)words->pdata[i]);
    return words->len ? g_string_free(g_steal_pointer(&text), false) : NULL;
}

char *
moe_energy_unknown(const moe_plan *plan)
{
    const moe_hardware *hw = plan->hw;
    g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);
    if (mode_of(plan) == MOE_ENERGY_NONE)
        return NULL;
    if (plan->config->workload.encoder_ps > 0)
        lacks(unknown, "energy of an encoder pass, of which only the time is stated");
    device_unknown(plan, &hw->devices[0], unknown);
    if (uses_host(plan))
        device_unknown(plan, &hw->devices[hw->host], unknown);
    for (uint32_t t = 0; t < plan->n_tiers; t++)
        for (int h = 0; h < plan->n_hops[t]; h++)
            link_unknown(plan, &hw->links[plan->hops[t][h]], unknown);
    for (int d = 0; d < hw->n_devices; d++)
        if (moe_energy_idle(&hw->devices[d], mode_of(plan)) <= 0)
            lacks(unknown, "power.idle of device '%s'", hw->devices[d].name);
    return listed(unknown);
}

double
moe_energy_idle_watt(const moe_plan *plan)
{
    double watt = 0;
    for (int d = 0; d < plan->hw->n_devices; d++)
        watt += moe_energy_idle(&plan->hw->devices[d], mode_of(plan));
    for (int p = 0; p < plan->hw->n_places; p++)
        watt += plan->hw->places[p].idle_watt;
    return watt;
}

double
moe_energy_load(const moe_plan *plan, uint32_t t, double bytes)
{
    moe_energy_mode mode = mode_of(plan);
    double joules = 0;
    for (int h = 0; h < plan->n_hops[t]; h++) {
        const moe_hw_link *link = &plan->hw->links[plan->hops[t][h]];
        joules += bytes * (moe_energy_read(&plan->hw->places[link->from], mode) +
                           moe_energy_link(link, mode) +
                           moe_energy_write(&plan->hw->places[link->to], mode));
    }
    return joules;
}

void
moe_energy_describe(const moe_plan *plan, GString *out)
{
    static const char *const modes[] = {"none", "device", "board"};
    moe_energy_mode mode = mode_of(plan);
    double bits = moe_lowering_precision(plan->model, plan->config).activations;
    g_autofree char *unknown = moe_energy_unknown(plan);
    if (mode == MOE_ENERGY_NONE)
        return;
    g_string_append_printf(out, "  energy (%s): ", modes[mode]);
    if (unknown) {
        g_string_append_printf(out, "unknown, nobody has stated the %s\n", unknown);
        return;
    }
    const moe_device *device = &plan->hw->devices[0];
    g_string_append_printf(out, "%s %.3g pJ/FLOP, %s %.3g pJ/bit", device->name,
                           1e12 * moe_energy_flop(device, mode, bits),
                           plan->hw->places[device->place].name,
                           1e12 / 8 * moe_energy_read(&plan->hw->places[device->place], mode));
    for (uint32_t t = 0; t < plan->n_tiers; t++)
        g_string_append_printf(out, ", a load into tier %u %.3g pJ/bit", t,
                               1e12 / 8 * moe_energy_load(plan, t, 1));
    g_string_append_printf(out, ", idle %.4g W\n", moe_energy_idle_watt(plan));
}

/* ---- counting ---- */

void
moe_machine_energy_reset(moe_machine *machine)
{
    int n = machine->plan->hw->n_links;
    if (!machine->plan->energy)
        return;
    if (!machine->phase_bytes)
        machine->phase_bytes = g_new0(int64_t, 3 * (size_t)n + 1);
    memset(machine->phase_bytes, 0, 2 * (size_t)n * sizeof *machine->phase_bytes);
    for (int l = 0; l < n; l++)
        machine->phase_bytes[2 * n + l] = moe_engine_link_bytes(machine->engine, machine->link[l]);
    memset(machine->host_flops, 0, sizeof machine->host_flops);
    memset(machine->host_bytes, 0, sizeof machine->host_bytes);
    memset(machine->carried, 0, sizeof machine->carried);
}

/* phase_bytes: prefill by link, decode by link, what had been counted before by link. */
void
moe_machine_energy_step(moe_machine *machine)
{
    int n = machine->plan->hw->n_links;
    int64_t *before = machine->phase_bytes + 2 * n;
    int64_t *phase = machine->phase_bytes + machine->schedule->steps[machine->step].phase * n;
    for (int l = 0; l < n; l++) {
        int64_t now = moe_engine_link_bytes(machine->engine, machine->link[l]);
        phase[l] += now - before[l];
        before[l] = now;
    }
}

/* ---- the account ---- */

static int64_t
add(account *a, moe_energy_part part, int phase, int which, double joules)
{
    int64_t amount = llround(joules * MICRO);
    a->parts[part][phase][which] += amount;
    return amount;
}

static void
add_kernels(account *a, const moe_plan *plan, int phase, int d, double flops, double bytes)
{
    const moe_device *device = &plan->hw->devices[d];
    moe_energy_mode mode = mode_of(plan);
    double bits = moe_lowering_precision(plan->model, plan->config).activations;
    a->kernels += add(a, MOE_ENERGY_COMPUTE, phase, d, flops * moe_energy_flop(device, mode, bits));
    a->kernels += add(a, MOE_ENERGY_MEMORY, phase, device->place,
                      bytes * moe_energy_read(&plan->hw->places[device->place], mode));
}

static void
add_copies(account *a, const moe_plan *plan, int phase, int l, double bytes)
{
    const moe_hw_link *link = &plan->hw->links[l];
    moe_energy_mode mode = mode_of(plan);
    add(a, MOE_ENERGY_MEMORY, phase, link->from,
        bytes * moe_energy_read(&plan->hw->places[link->from], mode));
    add(a, MOE_ENERGY_LINK, phase, l, bytes * moe_energy_link(link, mode));
    add(a, MOE_ENERGY_MEMORY, phase, link->to,
        bytes * moe_energy_write(&plan->hw->places[link->to], mode));
}

/* Activations on their way to the host and back, over the link into the cache and as if over its
 * like. */
static void
add_carried(account *a, const moe_plan *plan, int phase, double bytes)
{
    int l = plan->hops[0][plan->n_hops[0] - 1];
    const moe_hw_link *link = &plan->hw->links[l];
    moe_energy_mode mode = mode_of(plan);
    add(a, MOE_ENERGY_LINK, phase, l, 2 * bytes * moe_energy_link(link, mode));
    for (int end = 0; end < 2; end++) {
        int p = end ? link->to : link->from;
        const moe_place *place = &plan->hw->places[p];
        add(a, MOE_ENERGY_MEMORY, phase, p,
            bytes * (moe_energy_read(place, mode) + moe_energy_write(place, mode)));
    }
}

/* Of a place among those that take idle power; one called as a device is one with it. */
static int
idle_number(const moe_hardware *hw, int place)
{
    for (int d = 0; d < hw->n_devices; d++)
        if (!strcmp(hw->devices[d].name, hw->places[place].name))
            return d;
    return hw->n_devices + place;
}

static void
add_idle(account *a, const moe_plan *plan, int phase, moe_time ps)
{
    const moe_hardware *hw = plan->hw;
    double seconds = (double)ps / (double)MOE_PS_PER_S;
    for (int d = 0; d < hw->n_devices; d++)
        add(a, MOE_ENERGY_IDLE, phase, d,
            seconds * moe_energy_idle(&hw->devices[d], mode_of(plan)));
    for (int p = 0; p < hw->n_places; p++)
        add(a, MOE_ENERGY_IDLE, phase, idle_number(hw, p), seconds * hw->places[p].idle_watt);
}

static const char *
name_of(const moe_hardware *hw, moe_energy_part part, int which)
{
    if (part == MOE_ENERGY_LINK)
        return hw->links[which].name;
    if (part == MOE_ENERGY_MEMORY)
        return hw->places[which].name;
    return which < hw->n_devices ? hw->devices[which].name : hw->places[which - hw->n_devices].name;
}

static void
write_rows(const account *a, const moe_hardware *hw, const int n[MOE_N_ENERGY_PARTS],
           moe_energy_sums *sums, moe_result *result)
{
    for (int phase = 0; phase < 2; phase++)
        for (int part = 0; part < MOE_N_ENERGY_PARTS; part++)
            for (int i = 0; i < n[part]; i++) {
                int64_t amount = a->parts[part][phase][i];
                sums->parts[part][phase] += amount;
                moe_cell cells[] = {moe_text(phase == MOE_DECODE ? "decode" : "prefill"),
                                    moe_text(part_names[part]),
                                    moe_text(name_of(hw, (moe_energy_part)part, i)),
                                    moe_int(amount)};
                if (amount != 0)
                    moe_result_add(result, "energy", cells, MOE_COUNT(cells));
            }
}

moe_energy_sums
moe_machine_energy(const moe_machine *machine, const moe_time phase_ps[2], moe_result *result)
{
    const moe_plan *plan = machine->plan;
    const moe_hardware *hw = plan->hw;
    const int n[] = {hw->n_devices, hw->n_places, hw->n_links, hw->n_devices + hw->n_places};
    int room = n[0] + n[1] + n[2] + n[3];
    g_autofree int64_t *cells = g_new0(int64_t, 2 * (size_t)room);
    account a = {.kernels = 0};
    moe_energy_sums sums = {.kernels = 0};
    for (int phase = 0, at = 0; phase < 2; phase++) {
        for (int part = 0; part < MOE_N_ENERGY_PARTS; at += n[part++])
            a.parts[part][phase] = cells + at;
        add_kernels(&a, plan, phase, 0, machine->flops[phase], machine->bytes[phase]);
        if (uses_host(plan)) {
            add_kernels(&a, plan, phase, hw->host, machine->host_flops[phase],
                        machine->host_bytes[phase]);
            add_carried(&a, plan, phase, machine->carried[phase]);
        }
        for (int l = 0; machine->phase_bytes && l < hw->n_links; l++) {
            double bytes = (double)machine->phase_bytes[phase * hw->n_links + l];
            if (bytes > 0) /* links of no use may have unknown numbers */
                add_copies(&a, plan, phase, l, bytes);
        }
        add_idle(&a, plan, phase, phase_ps[phase]);
        sums.device[phase] = a.parts[MOE_ENERGY_COMPUTE][phase][0] +
                             a.parts[MOE_ENERGY_MEMORY][phase][plan->device_place] +
                             a.parts[MOE_ENERGY_IDLE][phase][0];
    }
    sums.kernels = a.kernels;
    write_rows(&a, hw, n, &sums, result);
    return sums;
}
