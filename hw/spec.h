/* The written form of a hardware description, as its parameter table fills it. Private to hw/. */
#ifndef MOE_HW_SPEC_H
#define MOE_HW_SPEC_H

#include "hw/hardware.h"
#include "sim/base/param.h"

#define MOE_HW_MAX_PLACES 16
#define MOE_HW_MAX_DEVICES 64
#define MOE_HW_MAX_LINKS 256

typedef struct moe_place_spec {
    const char *name;
    int64_t capacity, reserved;
    double read, channel, idle_watt;
    int64_t channels;
    moe_place_energy device_energy, board_energy;
} moe_place_spec;

typedef struct moe_device_spec {
    const char *name, *place, *kernels, *matches;
    int kind; /* moe_device_kind */
    moe_rates peak;
    double capability;
    int64_t sms, l2;
    moe_gemm_kernel gemm;
    moe_expert_kernel experts;
    moe_attention_kernel attention;
    int64_t launch, launch_in_graph;
    double dequant;
    double idle_watt, peak_watt, base_watt;
    moe_flop_energy device_energy, board_energy;
} moe_device_spec;

typedef struct moe_link_spec {
    const char *name, *from, *to;
    double rate, peak, pageable, duplex, channel, iops;
    int64_t latency, pageable_latency, per_copy, request, depth, chunk, engine, wire;
    double device_energy, board_energy;
} moe_link_spec;

typedef struct moe_hardware_spec {
    const char *name, *source, *host;
    double price_per_hour;
    moe_list places, devices, links;
    moe_list network; /* moe_level */
    moe_list engines; /* moe_engine */
} moe_hardware_spec;

extern const moe_param_table moe_hardware_table;

/* Reports what single values cannot show (names, sums, order), each at its place below `root`;
 * false when there was something. */
bool moe_hardware_check(const moe_hardware_spec *spec, const moe_yaml *root, moe_diag *diag);
/* The same of the network's levels. */
void moe_network_check(const moe_hardware_spec *spec, const moe_yaml *root, moe_diag *diag);
/* The place of list[i].key below `root`, or of what contains it. */
moe_loc moe_spec_at(const moe_yaml *root, const char *list, size_t i, const char *key);
/* Peak bandwidth of a place: as said, or that of its channels together. */
double moe_spec_read(const moe_place_spec *place);
/* Index of the place or device called `name`, -1: none. */
int moe_spec_place(const moe_hardware_spec *spec, const char *name);
int moe_spec_device(const moe_hardware_spec *spec, const char *name);

#endif
