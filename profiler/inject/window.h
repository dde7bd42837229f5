/* When a capture records: always, between the program's calls of cudaProfilerStart and Stop, or
 * inside ranges of a name; not before a delay, and for a time at most. Any thread. */
#ifndef MOE_PROFILER_INJECT_WINDOW_H
#define MOE_PROFILER_INJECT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/inject/options.h"

void moe_window_start(const moe_options *options, uint64_t now_ns);
/* Whether what happens now is recorded. */
bool moe_window_open(void);
/* Modules have attached meanwhile: those are told. */
void moe_window_tell(void);
/* Opens and closes by the clock; returns when it wants to be called next, 0: never. */
uint64_t moe_window_tick(uint64_t now_ns);
/* The program asks for its profiler to start or stop. */
void moe_window_profiler(bool start);
/* True: the range of this domain and text is the one that opens the window, and has done so; its
 * end is to be told. */
bool moe_window_range(uint32_t domain, uint32_t text);
void moe_window_range_ended(void);
/* Says so if it never opened. */
void moe_window_stop(void);
void moe_window_forget(void);

#endif
