#include "profiler/decoder.h"

#include "sim/base/elementary.h"

static uint32_t
largest(const float *logits, uint32_t vocab)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

uint32_t
moe_sample(const float *logits, uint32_t vocab, float temperature, double uniform)
{
    uint32_t best = largest(logits, vocab);
    double sum = 0, before = 0;

    if (!(temperature > 0))
        return best;
    for (uint32_t i = 0; i < vocab; i++)
        sum += (double)moe_expf((logits[i] - logits[best]) / temperature);
    for (uint32_t i = 0; i < vocab; i++) {
        before += (double)moe_expf((logits[i] - logits[best]) / temperature);
        if (before > uniform * sum)
            return i;
    }
    return best;
}
