/* Inside profiler/capture: listens to a decoder, and makes rows of a trace of what it hears. */
#ifndef MOE_PROFILER_CAPTURE_RECORD_H
#define MOE_PROFILER_CAPTURE_RECORD_H

#include "profiler/capture.h"

typedef struct moe_recorder moe_recorder;

/* `max_rows` of a step. NULL with `error`: no memory. */
moe_recorder *moe_recorder_new(const moe_arch *arch, const moe_capture_config *config,
                               uint32_t max_rows, GError **error);
void moe_recorder_free(moe_recorder *recorder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_recorder, moe_recorder_free)
const moe_decoder_observer *moe_recorder_observer(const moe_recorder *recorder);
moe_routing_builder *moe_recorder_builder(const moe_recorder *recorder);

/* What is known of the rows of a step beside their routing; arrays are [n]. */
typedef struct moe_recorded_rows {
    uint32_t step, n;
    const uint32_t *sequence, *position, *token;
    const uint8_t *phase;
    const uint16_t *domain; /* NULL: none */
} moe_recorded_rows;
/* The step is done: its rows, as heard, go to the builder; times: as moe_decoder_times. */
void moe_recorder_step(moe_recorder *recorder, const moe_recorded_rows *rows, const float *times);

/* Gives the builder the similarity of all steps so far. */
void moe_recorder_settle(moe_recorder *recorder);
double moe_recorder_recall(const moe_recorder *recorder, uint32_t distance, uint32_t layer);
double moe_recorder_similarity(const moe_recorder *recorder, uint32_t distance, uint32_t layer);

#endif
