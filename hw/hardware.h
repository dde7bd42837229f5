/* What hardware costs: devices, places, links as data; pure cost functions in hw/cost.h. No events.
 *
 * Read from a preset (hw/presets/NAME.yaml) or a path; immutable afterwards, shared by threads.
 * Every number carries source and basis (vendor, measured, fitted, derived, literature, secondary,
 * estimate); estimates are listed by `moesim list hardware -v`. */
#ifndef MOE_HW_HARDWARE_H
#define MOE_HW_HARDWARE_H

#include "hw/kernels.h"
#include "hw/network.h"
#include "sim/base/param.h"

typedef enum moe_device_kind { MOE_DEVICE_GPU, MOE_DEVICE_CPU, MOE_DEVICE_RDU } moe_device_kind;

/* Peak dense rates by arithmetic type, FLOP/s; 0: not supported (the next wider one is used). */
typedef struct moe_rates {
    double fp32, bf16, fp8, int8, fp4;
} moe_rates;

/* Energy of an operation by arithmetic type, pJ/FLOP; of a bit of a place, pJ/bit. Negative:
 * unknown (meaning in hw/energy.h). */
typedef struct moe_flop_energy {
    double fp32, bf16, fp8, int8, fp4;
} moe_flop_energy;
typedef struct moe_place_energy {
    double read, write;
} moe_place_energy;

/* Something that computes (what its numbers mean: hw/cost.h). */
typedef struct moe_device {
    const char *name;
    const char *matches; /* what drivers and tables call it, separated by '|'; NULL: not known */
    moe_device_kind kind;
    int place; /* index of the memory it computes from */
    moe_rates peak;
    double capability; /* compute capability of CUDA, which says its architecture; 0: unknown */
    int64_t sms;       /* processors that work side by side on a kernel's blocks; 0: unknown */
    int64_t l2_bytes;  /* cache that they share; 0: unknown */
    /* Its own kernels, for what the library has none for. */
    moe_gemm_kernel gemm;
    moe_expert_kernel experts;
    moe_attention_kernel attention;
    const moe_kernels *kernels;  /* library, NULL: none */
    int64_t launch_ps;           /* fixed cost of one kernel */
    int64_t graph_launch_ps;     /* the same in a CUDA graph */
    bool in_graph;               /* its kernels are launched from a graph (moe_device_in_graph) */
    double dequant_bytes_per_s;  /* weights below 8 bits are decoded at this rate (of decoded
                                    bytes); 0: free */
    double idle_watt, peak_watt; /* 0: unknown */
    double base_watt;            /* of a board that waits at full clocks; 0: as idle_watt */
    moe_flop_energy device_energy, board_energy;
} moe_device;

/* A memory tier instance. */
typedef struct moe_place {
    const char *name;        /* sram, hbm, dram, flash … */
    int64_t capacity;        /* bytes, as the driver or system reports */
    int64_t reserved;        /* of it not usable (driver, context, operating system) */
    double read_bytes_per_s; /* peak */
    double idle_watt;        /* of its own; 0: within that of a device */
    moe_place_energy device_energy, board_energy;
} moe_place;

/* A one-way channel between two places; the copy engine that drives it is `engine`: links with the
 * same engine number share one. A link pair that shares one wire in both directions has the same
 * `wire` number >= 0. */
typedef struct moe_hw_link {
    const char *name;
    int from, to;                /* places */
    double bytes_per_s;          /* achieved for large transfers (pinned) */
    double peak_bytes_per_s;     /* nominal */
    double pageable_bytes_per_s; /* achieved from pageable memory; 0: as pinned */
    int64_t latency_ps;          /* fixed cost of a transfer */
    int64_t queued_ps;           /* the same of one that waited behind another */
    int64_t pageable_latency_ps; /* the same from pageable memory */
    double duplex;               /* share of its rate that it keeps while the other direction of
                                    its wire is busy too, 0.5 to 1 */
    /* What a transfer is made of (hw/cost.h): requests of so many bytes (0: it is one), so many in
       flight, each alone at this rate (0: as all), and so many of them per second (0: any). */
    int64_t request_bytes, depth;
    double channel_bytes_per_s, iops;
    int64_t chunk_bytes; /* granularity at which a transfer can be suspended */
    int engine, wire;
    double device_energy, board_energy; /* pJ/bit; negative: unknown */
} moe_hw_link;

typedef struct moe_hardware {
    const char *name, *source;
    int n_devices, n_places, n_links;
    const moe_device *devices; /* device 0 is the accelerator that runs the model */
    const moe_place *places;   /* fast to slow */
    const moe_hw_link *links;
    moe_network network; /* no levels: one accelerator, or nothing is known of what connects them */
    int host;            /* index of the CPU device, -1: none */
    double price_per_hour; /* 0: unknown */
} moe_hardware;

typedef struct moe_hardware_set moe_hardware_set;

/* `name`: a preset's name, or a path to a preset file. `beside`: folder of the file that names it,
 * for relative paths; may be NULL. `at` locates messages about the name. */
moe_hardware_set *moe_hardware_load(const char *name, const char *beside, moe_loc at,
                                    moe_diag *diag, GError **error);
/* The same of a preset's text; `path` names it in messages, `name` the machine if the text does not
 * (NULL: after the path). */
moe_hardware_set *moe_hardware_parse(const char *path, const char *text, size_t length,
                                     const char *name, moe_diag *diag);
void moe_hardware_free(moe_hardware_set *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_hardware_set, moe_hardware_free)
/* Borrowed from the set. */
const moe_hardware *moe_hardware_get(const moe_hardware_set *set);
/* Every number that a run can depend on, and the names that a scenario can refer to. */
void moe_hardware_canonical(const moe_hardware *hw, GString *out);
/* Where each number came from that says so; n of them, borrowed. Keys as in moe_hw_change. */
const moe_provenance *moe_hardware_provenance(const moe_hardware_set *set, size_t *n);
/* A number put in the place of a description's own, as it is written: "55.6GB/s". Texts may be
 * NULL where there is nothing to say, the value for none: the number is left out. */
typedef struct moe_hw_change {
    const char *key; /* "devices.0.launch", "links.1.rate" */
    const char *value, *basis, *source, *note;
} moe_hw_change;
/* The description as the text of a preset, every number with its origin, under a new name and
 * source; comments and the order of keys of its file are not kept. It is for the caller to read it
 * back: a change may be out of range, or not fit with what stays. */
void moe_hardware_write(const moe_hardware_set *set, const char *name, const char *source,
                        const moe_hw_change *changes, size_t n, GString *out);
/* The same of a kernel library; keys as "experts.3.efficiency". */
void moe_kernels_write(const moe_kernels_set *set, const char *name, const char *source,
                       const moe_hw_change *changes, size_t n, GString *out);
/* Readable description; with `verbose` each number with basis and source, estimates marked. */
void moe_hardware_describe(const moe_hardware_set *set, bool verbose, GString *out);

/* Whether `name` is one of those that drivers and tables have for it. Case does not matter, nor
 * which of space, '-' and '_' separates words. */
bool moe_device_matches(const moe_device *device, const char *name);
int moe_hardware_place(const moe_hardware *hw, const char *name); /* -1: none */
/* Links of the cheapest chain from place `from` to place `to` (fewest hops, then the least time
 * per byte summed over the hops, then the lowest link numbers);
 * returns the number of hops (0: same place, -1: no way). `max` >= hops needed. */
int moe_hardware_route(const moe_hardware *hw, int from, int to, int *links, int max);

#endif
