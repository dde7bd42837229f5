/* Energy: what FLOPs, bytes and waiting take. Pure, as hw/cost.h is.
 *
 *     energy = FLOPs * e(arithmetic) + bits read or written * e(place) + bits carried * e(link)
 *              + power * time
 *
 * Two sets of numbers, never mixed within a run:
 *   device   what the parts take by themselves: a DRAM's access, a multiply-add, a link's wire, as
 *            the literature has them; and the machine's power when idle.
 *   board    what a whole board was measured to take beyond its base power, per bit and per FLOP:
 *            caches, controllers and regulators included; 3 to 5 times the device's own. Base
 *            power (`board_energy.base`) is that of a board whose clocks are up while it waits.
 *
 * Three numbers describe a board at full clocks: P = base + e(bit) * bits/s + e(FLOP) * FLOP/s.
 * Fitted to the FP32 roofline runs of te42kyfo/gpu-benches@1c36d50 (gpu-roofline), the mean error
 * over arithmetic intensities from 0.25 to 128 FLOP/B is below 1 %:
 *   A100 40 GB, two of eight cards   67, 69 W + 14.8, 15.4 pJ/bit + 5.1, 5.5 pJ/FLOP
 *   H200                             117 W + 15.0 pJ/bit + 5.7 pJ/FLOP
 *   (tests/fidelity/hw_energy_test.c)
 * It does not know of clocks: a device at its power limit slows down, which no time here does.
 * Nor does it know of operands: random bits take more than zeros do.
 *
 * A number that nobody has stated is unknown, never zero. All of the bytes that a kernel moves
 * count as read. */
#ifndef MOE_HW_ENERGY_H
#define MOE_HW_ENERGY_H

#include "hw/hardware.h"

typedef enum moe_energy_mode {
    MOE_ENERGY_NONE,
    MOE_ENERGY_DEVICE,
    MOE_ENERGY_BOARD
} moe_energy_mode;

/* Joules per FLOP of the arithmetic that activations of so many bits use; negative: unknown. */
double moe_energy_flop(const moe_device *device, moe_energy_mode mode, double activation_bits);
/* Joules per byte; negative: unknown. */
double moe_energy_read(const moe_place *place, moe_energy_mode mode);
double moe_energy_write(const moe_place *place, moe_energy_mode mode);
double moe_energy_link(const moe_hw_link *link, moe_energy_mode mode);
/* Watts while nothing runs; 0: unknown. */
double moe_energy_idle(const moe_device *device, moe_energy_mode mode);
/* The key that says moe_energy_flop: "board_energy.bf16". */
const char *moe_energy_flop_key(const moe_device *device, moe_energy_mode mode,
                                double activation_bits);

/* Every number of the mode that a run can depend on; nothing without a mode. */
void moe_energy_canonical(const moe_hardware *hw, moe_energy_mode mode, GString *out);

#endif
