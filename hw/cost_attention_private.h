/* Kernels of an attention that are known by their blocks. Private to hw/. */
#ifndef MOE_HW_COST_ATTENTION_PRIVATE_H
#define MOE_HW_COST_ATTENTION_PRIVATE_H

#include "hw/cost_attention.h"

/* Writing the new keys and values (where there are some), and the attention kernel itself. */
#define MOE_ATTENTION_KERNELS 2

moe_cost moe_cost_attention_tiles(const moe_hardware *hw, const moe_device *device,
                                  const moe_attention_kernel *kernel,
                                  const moe_attention_work *work);

#endif
