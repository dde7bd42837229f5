#include "traces/generate_logits.h"

#include "sim/base/elementary.h"
#include "traces/transform/row.h"

struct moe_logits {
    moe_logits_law law;
    moe_stream stream;
    const uint16_t *order;
    double *bias;  /* [layers * experts]: by rank, -skew ln(rank) */
    double *taste; /* [layers * experts]: by rank, a(t) */
    double *mind;  /* [layers * experts]: by rank, b(t) */
    float *out;
    bool begun; /* b(0) is drawn */
};

moe_logits *
moe_logits_new(const moe_logits_law *law)
{
    size_t n = (size_t)law->layers * law->experts;
    moe_logits *logits = g_new0(moe_logits, 1);
    logits->law = *law;
    logits->law.skew = NULL;
    logits->bias = g_try_new(double, n);
    logits->taste = g_try_new(double, n);
    logits->mind = g_try_new(double, n);
    logits->out = g_try_new(float, n);
    if (!logits->bias || !logits->taste || !logits->mind || !logits->out) {
        moe_logits_free(logits);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        logits->bias[i] = -law->skew[i / law->experts] * moe_ln((double)(i % law->experts + 1));
    return logits;
}

void
moe_logits_free(moe_logits *logits)
{
    if (!logits)
        return;
    g_free(logits->bias);
    g_free(logits->taste);
    g_free(logits->mind);
    g_free(logits->out);
    g_free(logits);
}

/* Twelve uniform draws of 16 bits, their mean taken off: variance 1. */
static double
logits_normal(moe_stream *stream)
{
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++)
        for (uint64_t draw = moe_stream_next(stream); draw; draw >>= 16)
            sum += draw & 0xFFFF;
    return ((double)sum + 6) * 0x1.0p-16 - 6;
}

void
moe_logits_begin(moe_logits *logits, const uint16_t *order, moe_stream stream)
{
    size_t n = (size_t)logits->law.layers * logits->law.experts;
    logits->order = order;
    logits->stream = stream;
    logits->begun = false;
    for (size_t i = 0; i < n; i++)
        logits->taste[i] = logits_normal(&logits->stream);
}

/* a(t) from a(t - 1). */
static void
logits_drift(moe_logits *logits)
{
    double keep = 1 - logits->law.drift, fresh = sqrt(1 - keep * keep);
    for (size_t i = 0; i < (size_t)logits->law.layers * logits->law.experts; i++)
        logits->taste[i] = keep * logits->taste[i] + fresh * logits_normal(&logits->stream);
}

const float *
moe_logits_next(moe_logits *logits)
{
    const moe_logits_law *law = &logits->law;
    size_t n = (size_t)law->layers * law->experts;
    double memory = logits->begun ? law->memory : 0, fresh = sqrt(1 - memory * memory);
    double lasting = law->spread * sqrt(law->taste), share = law->spread * sqrt(1 - law->taste);
    if (logits->begun && law->drift > 0)
        logits_drift(logits);
    for (size_t i = 0; i < n; i++) {
        double mind = memory > 0 ? memory * logits->mind[i] : 0;
        logits->mind[i] = mind + fresh * logits_normal(&logits->stream);
        double taste = logits->bias[i] + lasting * logits->taste[i];
        double steps = floor((taste + share * logits->mind[i]) * 128 + 0.5);
        size_t at = i - i % law->experts + logits->order[i];
        logits->out[at] = (float)(CLAMP(steps, -2048, 2048) / 128);
    }
    logits->begun = true;
    return logits->out;
}

void
moe_logits_choose(const float *logits, uint32_t experts, uint32_t k, uint16_t *ids, float *weights)
{
    double sum = 0;
    row_best(logits, experts, k, ids);
    for (uint32_t j = 0; j < k; j++)
        sum += moe_exp((double)(logits[ids[j]] - logits[ids[0]]));
    for (uint32_t j = 0; j < k; j++)
        weights[j] = (float)(moe_exp((double)(logits[ids[j]] - logits[ids[0]])) / sum);
}
