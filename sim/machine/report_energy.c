#include "sim/machine/report_private.h"

static double
joules(int64_t microjoules)
{
    return (double)microjoules / 1e6;
}

static int64_t
energy_of(const moe_report *r, int phase)
{
    int64_t sum = 0;
    for (int part = 0; part < MOE_N_ENERGY_PARTS; part++)
        sum += r->energy.parts[part][phase];
    return sum;
}

static int64_t
energy_part(const moe_report *r, moe_energy_part part)
{
    return r->energy.parts[part][MOE_PREFILL] + r->energy.parts[part][MOE_DECODE];
}

/* The device's power against what its board is made for, which no time here knows of. */
static double
power_share(const moe_report *r)
{
    double peak = r->machine->plan->hw->devices[0].peak_watt;
    moe_time ps[] = {r->prefill_ps, r->decode_ps};
    double most = 0;
    for (int phase = 0; phase < 2; phase++)
        if (ps[phase] > 0)
            most = MAX(most, joules(r->energy.device[phase]) / moe_report_seconds(ps[phase]));
    return moe_report_ratio(most, peak);
}

void
moe_report_energy(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_time phase_ps[] = {r->prefill_ps, r->decode_ps};
    if (!machine->phase_bytes)
        return;
    moe_assert(r->prefill_ps + r->decode_ps == moe_report_wall(machine),
               "steps of %lld and %lld ps in %lld", (long long)r->prefill_ps,
               (long long)r->decode_ps, (long long)moe_report_wall(machine));
    r->energy = moe_machine_energy(machine, phase_ps, r->result);
    double prefill = joules(energy_of(r, MOE_PREFILL)), decode = joules(energy_of(r, MOE_DECODE));
    double all = joules(energy_of(r, MOE_PREFILL) + energy_of(r, MOE_DECODE));
    r->value[MOE_METRIC_energy_j] = all;
    r->value[MOE_METRIC_energy_per_token_j] = moe_report_ratio(all, (double)r->decoded);
    r->value[MOE_METRIC_compute_energy_j] = joules(energy_part(r, MOE_ENERGY_COMPUTE));
    r->value[MOE_METRIC_memory_energy_j] = joules(energy_part(r, MOE_ENERGY_MEMORY));
    r->value[MOE_METRIC_link_energy_j] = joules(energy_part(r, MOE_ENERGY_LINK));
    r->value[MOE_METRIC_idle_energy_j] = joules(energy_part(r, MOE_ENERGY_IDLE));
    r->value[MOE_METRIC_prefill_energy_j] = prefill;
    r->value[MOE_METRIC_decode_energy_j] = decode;
    r->value[MOE_METRIC_decode_energy_per_token_j] =
        moe_report_ratio(decode, (double)r->decoded_alone);
    r->value[MOE_METRIC_average_power_w] =
        moe_report_ratio(all, moe_report_seconds(moe_report_wall(machine)));
    r->value[MOE_METRIC_device_power_share] = power_share(r);
}

/* Of the machine by the hour, and of energy; absent where neither is known, or energy is not. */
void
moe_report_price(moe_report *r)
{
    const moe_config *config = r->machine->config;
    double per_hour =
        config->price.per_hour > 0 ? config->price.per_hour : r->machine->plan->hw->price_per_hour;
    double price = per_hour * moe_report_seconds(moe_report_wall(r->machine)) / 3600;
    if (config->price.energy_per_kwh > 0)
        price += config->price.energy_per_kwh * r->value[MOE_METRIC_energy_j] / 3.6e6;
    else if (per_hour <= 0)
        return;
    r->value[MOE_METRIC_price_per_million_tokens] =
        moe_report_ratio(1e6 * price, (double)r->decoded);
    r->value[MOE_METRIC_price_per_request] = moe_report_ratio(price, r->ended);
}

void
moe_report_energy_bounds(moe_report *r, double free_s, double perfect_s)
{
    const moe_plan *plan = r->machine->plan;
    double idle = moe_energy_idle_watt(plan), loads = 0;
    if (!r->machine->phase_bytes)
        return;
    for (uint32_t t = 0; t < plan->n_tiers && !isnan(perfect_s); t++)
        loads += (double)(t ? r->all_steps.first : r->all_steps.loads) *
                 moe_energy_load(plan, t, (double)plan->least_bytes);
    double work = r->value[MOE_METRIC_energy_j] - r->value[MOE_METRIC_idle_energy_j];
    double least[] = {work + idle * free_s, joules(r->energy.kernels) + loads + idle * perfect_s};
    for (int b = 0; b < 2; b++) {
        r->bound[MOE_METRIC_energy_j][b] = least[b];
        r->bound[MOE_METRIC_energy_per_token_j][b] = moe_report_ratio(least[b], (double)r->decoded);
    }
}
