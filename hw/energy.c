#include "hw/energy.h"

#include "hw/cost.h"

#define JOULES (1e-12) /* of a picojoule */

double
moe_energy_flop(const moe_device *device, moe_energy_mode mode, double activation_bits)
{
    const moe_flop_energy *e =
        mode == MOE_ENERGY_BOARD ? &device->board_energy : &device->device_energy;

    switch (moe_device_arithmetic(device, activation_bits)) {
    case MOE_FP32:
        return e->fp32 * JOULES;
    case MOE_BF16:
        return e->bf16 * JOULES;
    case MOE_FP8:
        return e->fp8 * JOULES;
    case MOE_INT8:
        return e->int8 * JOULES;
    case MOE_FP4:
        return e->fp4 * JOULES;
    }
    return -1;
}

const char *
moe_energy_flop_key(const moe_device *device, moe_energy_mode mode, double activation_bits)
{
    static const char *const keys[][2] = {
        [MOE_FP32] = {"device_energy.fp32", "board_energy.fp32"},
        [MOE_BF16] = {"device_energy.bf16", "board_energy.bf16"},
        [MOE_FP8] = {"device_energy.fp8", "board_energy.fp8"},
        [MOE_INT8] = {"device_energy.int8", "board_energy.int8"},
        [MOE_FP4] = {"device_energy.fp4", "board_energy.fp4"},
    };
    return keys[moe_device_arithmetic(device, activation_bits)][mode == MOE_ENERGY_BOARD];
}

static double
per_byte(double pj_per_bit)
{
    return 8 * pj_per_bit * JOULES;
}

double
moe_energy_read(const moe_place *place, moe_energy_mode mode)
{
    return per_byte(mode == MOE_ENERGY_BOARD ? place->board_energy.read
                                             : place->device_energy.read);
}

double
moe_energy_write(const moe_place *place, moe_energy_mode mode)
{
    return per_byte(mode == MOE_ENERGY_BOARD ? place->board_energy.write
                                             : place->device_energy.write);
}

double
moe_energy_link(const moe_hw_link *link, moe_energy_mode mode)
{
    return per_byte(mode == MOE_ENERGY_BOARD ? link->board_energy : link->device_energy);
}

double
moe_energy_idle(const moe_device *device, moe_energy_mode mode)
{
    return mode == MOE_ENERGY_BOARD && device->base_watt > 0 ? device->base_watt
                                                             : device->idle_watt;
}

static void
real(GString *out, const char *name, double value)
{
    char number[32];
    g_string_append_printf(out, " %s=%s", name, moe_format_real(number, value));
}

void
moe_energy_canonical(const moe_hardware *hw, moe_energy_mode mode, GString *out)
{
    bool board = mode == MOE_ENERGY_BOARD;

    if (mode == MOE_ENERGY_NONE)
        return;
    g_string_append(out, "energy");
    for (int i = 0; i < hw->n_devices; i++) {
        const moe_device *d = &hw->devices[i];
        const moe_flop_energy *e = board ? &d->board_energy : &d->device_energy;
        real(out, "fp32", e->fp32);
        real(out, "bf16", e->bf16);
        real(out, "fp8", e->fp8);
        real(out, "int8", e->int8);
        real(out, "fp4", e->fp4);
        real(out, "idle", moe_energy_idle(d, mode));
    }
    for (int i = 0; i < hw->n_places; i++) {
        const moe_place *p = &hw->places[i];
        real(out, "read", moe_energy_read(p, mode));
        real(out, "write", moe_energy_write(p, mode));
        real(out, "idle", p->idle_watt);
    }
    for (int i = 0; i < hw->n_links; i++)
        real(out, "link", moe_energy_link(&hw->links[i], mode));
    g_string_append_c(out, '\n');
}
