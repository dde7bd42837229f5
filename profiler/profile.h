/* Profiles (profile_schema.h): made from a folder of raw logs (inject/rawlog.h), from an nsys
 * export or from a PyTorch profiler trace. Same input, same bytes. A profile is written whole or
 * not at all: under another name, synced, renamed.
 *
 * Input is hostile until read. What stands before damage is kept; what is lost is counted in the
 * tables `loss` and `diagnostic` of the profile, never silently. */
#ifndef MOE_PROFILER_PROFILE_H
#define MOE_PROFILER_PROFILE_H

#include "sim/base/diag.h"

/* ---- diagnostics ---- */

/* X(code, severity, what is said, what to do about it). The injector, the launcher and the decoder
 * name a row by its code; `text` in the profile's table says more, where there is more to say. */
#define MOE_PROFILE_CODES(X)                                                                       \
    X(no_driver, WARN, "CUDA was never started, or there is no driver: no kernels were recorded",  \
      "run on a machine with an NVIDIA GPU and its driver (libcuda.so.1)")                         \
    X(stub_driver, ERROR, "libcuda.so.1 is the toolkit's stub, not a driver",                      \
      "take the toolkit's lib/stubs folder out of LD_LIBRARY_PATH")                                \
    X(old_driver, WARN, "the driver is older than the CUDA toolkit",                               \
      "update the driver, or use an older toolkit")                                                \
    X(cupti_absent, WARN, "libcupti was not found: no kernels were recorded",                      \
      "install CUPTI, or name it in MOESIM_CUPTI_LIB")                                             \
    X(cupti_busy, WARN, "another tool holds CUPTI: no kernels were recorded",                      \
      "run without nsys, ncu, compute-sanitizer, cuda-gdb, NVBit and torch.profiler")              \
    X(cupti_failed, WARN, "a call of CUPTI failed", "see the text; MOESIM_LOG=FILE says more")     \
    X(cupti_two, WARN, "two CUPTI libraries are loaded in one process",                            \
      "name the one to use in MOESIM_CUPTI_LIB")                                                   \
    X(cupti_newer, INFO,                                                                           \
      "CUPTI's records are larger than the known ones: read by their beginning",                   \
      "nothing; fields that are new are not read")                                                 \
    X(cupti_kind_refused, WARN, "CUPTI refused to record a kind", "see the text for the kind")     \
    X(cupti_fatal, ERROR, "CUPTI stopped by an error of its own: records end there",               \
      "try --graph=graph, fewer kinds in --trace, or another CUPTI in MOESIM_CUPTI_LIB")           \
    X(counters_forbidden, ERROR, "hardware counters are for the administrator only",               \
      "put 'options nvidia NVreg_RestrictProfilingToAdminUsers=0' into "                           \
      "/etc/modprobe.d/nvidia.conf and restart, or run as root")                                   \
    X(counters_unsupported, ERROR, "this GPU or virtual machine has no hardware counters",         \
      "vGPU, MIG, confidential computing and WSL restrict them; use another machine")              \
    X(counters_passes, ERROR, "the metrics cannot be counted in one pass: none was counted",       \
      "`moesim counters --check` says which go together")                                          \
    X(counters_threads, WARN, "stages of several threads: those of the first one were counted",    \
      "count one process per GPU, with one thread that launches")                                  \
    X(records_dropped, WARN, "CUPTI dropped records for lack of buffers",                          \
      "raise --max-buffer, or record fewer kinds with --trace")                                    \
    X(buffer_denied, WARN, "the limit of buffer memory was reached: records were lost",            \
      "raise --max-buffer")                                                                        \
    X(no_timestamp, WARN, "some records have no times (CUPTI lacked device memory): left out",     \
      "leave more GPU memory free")                                                                \
    X(bad_time, WARN, "some records end before they start: left out", "report it with --keep-raw") \
    X(unknown_kind, WARN,                                                                          \
      "activity records of a kind that is not known: the rest of their "                           \
      "buffers could not be read",                                                                 \
      "update moesim, or record fewer kinds with --trace")                                         \
    X(truncated_record, WARN, "a buffer ends in the middle of a record",                           \
      "report it with --keep-raw")                                                                 \
    X(no_sizes, INFO,                                                                              \
      "the log does not say how large CUPTI's records are: a table by version "                    \
      "was used",                                                                                  \
      "nothing")                                                                                   \
    X(unknown_text, WARN, "texts that the log does not hold are named: they are left empty",       \
      "the log was damaged or cut short")                                                          \
    X(log_damaged, ERROR, "a raw log is damaged: what stands before the damage was read",          \
      "check the disk; record anew")                                                               \
    X(log_cut, WARN, "a raw log ends in the middle of a chunk: the last chunk is lost",            \
      "the process was killed or the disk was full while it wrote")                                \
    X(log_foreign, ERROR, "a file is no raw log", "name a folder that moesim capture made")        \
    X(log_odd, WARN, "a raw log holds entries that make no sense: left out",                       \
      "report it with --keep-raw")                                                                 \
    X(disk_full, ERROR, "the raw log could not be written on: records after that are lost",        \
      "make room, or write to another disk with -o")                                               \
    X(killed, WARN, "the process ended without closing its log (killed, _exit, or a crash)",       \
      "up to half a second of records before the end may be missing")                              \
    X(signal, WARN, "the process was ended by a signal", "see the program's own messages")         \
    X(forked, INFO, "the process forked; the child is not recorded until it calls exec",           \
      "start workers by spawn instead of fork to record them")                                     \
    X(not_loaded, WARN, "no process loaded the injection library: nothing was recorded",           \
      "the program used neither CUDA nor NVTX, or is static or setuid")                            \
    X(injection_taken, ERROR, "CUDA_INJECTION64_PATH or NVTX_INJECTION64_PATH was set already",    \
      "unset it: only one tool can be injected")                                                   \
    X(graph_unknown, WARN,                                                                         \
      "kernels of CUDA graphs that were made before recording began: kept "                        \
      "without stage and layer",                                                                   \
      "start recording before the graphs are made")                                                \
    X(graph_whole, INFO, "CUDA graphs were recorded as a whole, not kernel by kernel",             \
      "use --graph=node for their kernels")                                                        \
    X(range_open, INFO, "ranges that were never closed", "nothing; they end with the process")     \
    X(range_stray, WARN, "range ends without a beginning", "recording began inside of them")       \
    X(stage_unknown, WARN, "ranges of domain 'moesim' that name no stage",                         \
      "use embed, attention, router, dispatch, experts, combine, unembed, or step")                \
    X(step_twice, WARN, "a step number was begun twice: the first one counts",                     \
      "number the steps of a process by a counter that never repeats")                             \
    X(step_open, INFO, "steps that were never ended", "nothing; they end with the process")        \
    X(route_lost, WARN, "routing was lost inside the process", "record less, or to a faster disk") \
    X(route_twice, WARN,                                                                           \
      "the same rows of a step and layer were routed twice: the first ones "                       \
      "count",                                                                                     \
      "call moesim_route once per layer and step")                                                 \
    X(route_zero, ERROR, "a layer's routing is all zeros: the engine recorded none",               \
      "use another kernel backend of the engine, or its own routing output")                       \
    X(route_gap, WARN,                                                                             \
      "steps lack the routing of some rows or layers: they are left out of the "                   \
      "trace, or marked as not run",                                                               \
      "see the text for how many")                                                                 \
    X(route_invalid, WARN, "rows name an expert twice, or an expert that the model does not have", \
      "see the text; such rows are left out of the trace")                                         \
    X(route_shape, WARN, "layers differ in k: short rows are filled up with 'no expert'",          \
      "nothing")                                                                                   \
    X(route_derived, INFO, "the engine did not say which sequence a row belongs to: derived",      \
      "call moesim_tokens")                                                                        \
    X(route_merged, INFO, "several processes recorded routing", "see the text for what was done")  \
    X(cupti_clock, WARN, "CUPTI's times are of another clock than those of ranges",                \
      "use CUPTI of CUDA 12 or newer")                                                             \
    X(window_open, INFO, "recording began by --range, --delay or --duration", "nothing")           \
    X(window_closed, INFO, "recording ended by --range, --delay or --duration", "nothing")         \
    X(window_never, WARN, "recording never began: nothing was recorded",                           \
      "see the text for what did not happen")                                                      \
    X(option_ignored, WARN, "an option of the capture was not understood", "see the text")         \
    X(inject_failed, WARN, "the injection library could not do all its work", "see the text")      \
    X(hook_failed, WARN, "the engine could not be hooked", "see the text")                         \
    X(hook_note, INFO, "the engine's hook says", "see the text")                                   \
    X(route_compiled, WARN, "routers ran inside compiled code or CUDA graphs: not seen",           \
      "run the model eagerly (no torch.compile, enforce_eager), or use the engine's own output")   \
    X(foreign_table, INFO, "the imported file lacks tables or columns", "see the text for which")  \
    X(foreign_row, WARN, "rows of the imported file make no sense: left out", "see the text")      \
    X(foreign_note, INFO, "the imported file says", "see the text")

typedef enum moe_profile_severity {
    MOE_PROFILE_INFO,
    MOE_PROFILE_WARN,
    MOE_PROFILE_ERROR
} moe_profile_severity;
extern const char *const moe_profile_severity_names[]; /* as in the table `diagnostic` */

typedef struct moe_profile_code {
    const char *code;
    moe_profile_severity severity;
    const char *says, *advice;
} moe_profile_code;
/* In the order of the list, ended by a code of NULL. */
extern const moe_profile_code moe_profile_codes[];
/* NULL: no such code. */
const moe_profile_code *moe_profile_code_find(const char *code);

/* ---- making profiles ---- */

/* Something that whoever ran the program knows and no raw log holds: a row of `meta`, or of
 * `diagnostic`. */
typedef struct moe_profile_pair {
    const char *name, *value; /* value of a diagnostic: its text, NULL: what the code says */
} moe_profile_pair;

typedef struct moe_profile_options {
    const moe_profile_pair *meta; /* exit_status, command, moesim, … */
    size_t n_meta;
    const moe_profile_pair *diagnostics; /* name: a code of the list */
    size_t n_diagnostics;
    const char *trace;   /* where the routing trace goes, if routing was seen; NULL: nowhere */
    const char *scratch; /* folder for what does not fit into memory; NULL: the trace's */
} moe_profile_options;

/* What is in a profile. */
typedef struct moe_profile_summary {
    uint64_t processes, kernels, memops, calls, graph_launches, ranges, stages, steps, routed_rows;
    uint64_t records; /* activity records read, of every kind */
    uint64_t lost;    /* sum of the table `loss` */
    uint64_t diagnostics[MOE_PROFILE_ERROR + 1];
    bool trace; /* the routing trace was written */
} moe_profile_summary;

/* From the raw logs *.raw in `folder` to `path`. False with `error`: the environment failed (the
 * folder cannot be read, the disk is full); damaged logs are no failure. No log at all: an empty
 * profile with the diagnostic not_loaded. `options`, `summary` may be NULL. */
bool moe_profile_decode(const char *folder, const char *path, const moe_profile_options *options,
                        moe_profile_summary *summary, GError **error);

/* From other tools' files. False with `error`, or with messages in `diag`: the file is none of its
 * kind, or is damaged. */
bool moe_profile_import_nsys(const char *file, const char *path, const moe_profile_options *options,
                             moe_profile_summary *summary, moe_diag *diag, GError **error);
bool moe_profile_import_torch(const char *file, const char *path,
                              const moe_profile_options *options, moe_profile_summary *summary,
                              moe_diag *diag, GError **error);

/* Appends what a profile holds: processes, devices, counts, losses, diagnostics with what to do.
 * False with `error`: not a profile. */
bool moe_profile_describe(const char *path, GString *out, GError **error);

#endif
