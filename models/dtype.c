/* Weight types by name, with the bits that one weight takes, block scales included. */
#include "models/model.h"

#include <math.h>
#include <string.h>

/* mxfp4: 32 weights of 4 bits share an 8-bit scale (OCP Microscaling Formats v1.0, section 5.2);
 * nvfp4: 16 weights of 4 bits share an 8-bit scale. tf32 is stored as 32 bits. fp8_block: a scale
 * for each block of 128 x 128 weights (0.002 bits, not counted), as DeepSeek's checkpoints have
 * them. */
#define DTYPES(X)                                                                                  \
    X("f32", 32)                                                                                   \
    X("fp32", 32)                                                                                  \
    X("tf32", 32)                                                                                  \
    X("bf16", 16)                                                                                  \
    X("f16", 16)                                                                                   \
    X("fp16", 16)                                                                                  \
    X("fp8", 8)                                                                                    \
    X("fp8_block", 8)                                                                              \
    X("int8", 8)                                                                                   \
    X("int4", 4)                                                                                   \
    X("mxfp4", 4.25)                                                                               \
    X("nvfp4", 4.5)                                                                                \
    X("int3", 3)                                                                                   \
    X("int2", 2)

#define NAME(name, bits) name,
#define BITS(name, bits) bits,
const char *const moe_dtype_names[] = {DTYPES(NAME) NULL};
static const double dtype_bits[] = {DTYPES(BITS)};

double
moe_dtype_bits(const char *dtype)
{
    for (size_t i = 0; moe_dtype_names[i]; i++)
        if (!strcmp(moe_dtype_names[i], dtype))
            return dtype_bits[i];
    return 0;
}

int64_t
moe_weight_bytes(int64_t params, double bits)
{
    /* Exact for widths that are multiples of 1/64 bit, as all of ours are. */
    __extension__ typedef __int128 wide;
    wide bits64 = (wide)params * (wide)llround(bits * 64);
    return (int64_t)((bits64 + 511) / 512);
}
