/* The routing ABI: how an engine tells a capture what it routed. Exported by libmoesim_inject.so;
 * plain C, callable through dlsym or ctypes, from any thread. No call blocks, throws or prints; all
 * copy what they are given. They return 0, or 1 when the words were lost (counted in the capture)
 * or no capture is running.
 *
 * A *step* is one run of the engine over a batch of tokens, its *rows*; steps are numbered by the
 * engine from 0. Layers are numbered as in the model, dense ones included. */
#ifndef MOESIM_ROUTE_H
#define MOESIM_ROUTE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

int moesim_abi_version(void); /* 1 */

/* A JSON object about the model: "name", "engine", "experts", "top_k", "layers" (a list of the
 * numbers of the MoE layers), "hidden", "width"; any of them may be missing. */
int moesim_model(const char *json);

/* phase: 0 prefill, 1 decode, 2 both, -1 unknown. */
int moesim_step_begin(int64_t step, int phase, int n_tokens, int n_sequences);
int moesim_step_end(int64_t step);
/* Of rows token0 .. token0 + n - 1: each array [n], or NULL where unknown. */
int moesim_tokens(int64_t step, int64_t token0, int32_t n, const int32_t *sequence,
                  const int32_t *position, const int32_t *token_id);
/* ids [n, k] by falling weight, below 0 for none; weights [n, k] or NULL. */
int moesim_route(int32_t layer, int64_t step, int64_t token0, int32_t n, int32_t k,
                 const int32_t *ids, const float *weights);

/* A stage of a layer begins and ends in this thread: an NVTX range of domain "moesim" without NVTX.
 * stage: one of embed, attention, router, dispatch, experts, combine, unembed. layer -1: none. */
int moesim_range_push(int32_t layer, const char *stage);
int moesim_range_pop(void);

/* Something that the one who reads the capture should know, such as routing that could not be seen.
 * severity: 0 info, 1 warning, 2 error; code: a row of profiler/profile.h's table (engines' hooks:
 * hook_failed, hook_note, route_zero, route_invalid, route_compiled). */
int moesim_diagnostic(int severity, const char *code, const char *text);

#ifdef __cplusplus
}
#endif
#endif
