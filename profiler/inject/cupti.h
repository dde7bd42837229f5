/* CUPTI as a module of the capture, and what its files share. */
#ifndef MOE_PROFILER_INJECT_CUPTI_H
#define MOE_PROFILER_INJECT_CUPTI_H

#include "profiler/inject/cupti_api.h"
#include "profiler/inject/modules.h"

extern const moe_module moe_module_cupti;

/* Buffers: learns the sizes of records and registers the callbacks. */
bool moe_cupti_buffers_start(const moe_options *options);
/* Counts what CUPTI has dropped since it was last asked. */
void moe_cupti_dropped(CUcontext context, uint32_t stream);
/* Kinds of records: on and off. */
void moe_cupti_kinds(uint32_t trace, bool on);
/* Nodes of graphs: what a callback of the resource domain says. */
void moe_cupti_node(CUpti_CallbackId id, const CUpti_ResourceData *resource);
/* A kernel ran as this node: says so once when nobody saw it made. */
void moe_cupti_node_ran(uint64_t node);

#endif
