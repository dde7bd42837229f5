/* The owner of a hardware description. Private to hw/. */
#ifndef MOE_HW_SET_H
#define MOE_HW_SET_H

#include "hw/hardware.h"
#include "sim/base/param.h"

struct moe_hardware_set {
    moe_hardware hw;
    moe_settings *settings; /* owns all texts; knows where each number came from */
    moe_device *devices;
    moe_place *places;
    moe_hw_link *links;
    GHashTable *libraries; /* name -> moe_kernels_set that devices share */
    char *name;
};

/* From a preset file at `path`; `name` is what it is called when the file does not say. */
moe_hardware_set *moe_hardware_read(const char *path, const char *name, moe_diag *diag,
                                    GError **error);

#endif
