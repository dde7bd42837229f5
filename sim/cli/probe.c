/* moesim probe: this machine, measured, as a hardware preset. */
#include "hw/hardware.h"
#include "profiler/measure.h"
#include "profiler/memory.h"
#include "sim/base/error.h"
#include "sim/base/units.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/probe_report.h"
#include "traces/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "moesim probe"
#define AT(field) offsetof(probe_values, field)

typedef struct probe_values {
    const char *output, *name, *disk, *memory, *only, *rows;
    int64_t seconds, threads;
    bool force;
} probe_values;

static const moe_option options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "PRESET.yaml",
     .help = "The preset to write. Without it, nothing is written."},
    MOE_OPTION_FORCE('f', AT(force)),
    {"name", 0, MOE_OPTION_TEXT, AT(name), "NAME",
     .help = "What the machine is called. Default: the preset's file name."},
    {"disk", 0, MOE_OPTION_TEXT, AT(disk), "DIR",
     .help = "A folder on the disk to measure. Default: this one."},
    {"seconds", 0, MOE_OPTION_INT, AT(seconds), "S", NULL, 1, 3600,
     "How long to measure, about. Longer is steadier. Default: 40.", 40},
    {"only", 0, MOE_OPTION_TEXT, AT(only), "PART,…",
     .help = "Which parts: memory, disk, cpu, gpu. Default: all. A preset wants memory and cpu."},
    {"memory", 0, MOE_OPTION_TEXT, AT(memory), "SIZE",
     .help = "The most memory to take. Default: a quarter of what is available, 2 GiB at most."},
    {"threads", 0, MOE_OPTION_INT, AT(threads), "N", NULL, 1, 4096,
     "The most threads that compute. Default: all processors.", 0},
    {"rows", 0, MOE_OPTION_TEXT, AT(rows), "OUT.csv",
     .help = "Write all points as a measured table, for `moesim calibrate`."},
};

/* ---- parts ---- */

enum { MEMORY = 1, DISK = 2, CPU = 4, GPU = 8, ALL = 15 };
static const char *const part_names[] = {"memory", "disk", "cpu", "gpu"};

/* 0 after a usage message. */
static unsigned
parts_of(const char *only)
{
    unsigned parts = 0;
    if (!only)
        return ALL;
    g_auto(GStrv) words = g_strsplit(*only ? only : " ", ",", -1);
    for (size_t i = 0; words[i]; i++) {
        const char *word = g_strstrip(words[i]);
        size_t p = 0;
        while (p < MOE_COUNT(part_names) && strcmp(part_names[p], word) != 0)
            p++;
        if (p == MOE_COUNT(part_names)) {
            const char *near = moe_suggest(word, part_names, MOE_COUNT(part_names));
            moe_say_usage(COMMAND, "'--only' knows memory, disk, cpu and gpu, not '%s'%s%s%s", word,
                          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
            return 0;
        }
        parts |= 1u << p;
    }
    return parts;
}

/* ---- the line of progress ---- */

typedef struct progress {
    double began, seconds; /* of all parts */
    double before, weight; /* shares of them: of the parts before, of this one */
    double shown;
    bool any;
} progress;

static void
show(void *context, const char *what, double share)
{
    progress *p = context;
    double now = moe_measure_now(), done = p->before + p->weight * share;
    double elapsed = now - p->began;
    if (!isatty(STDERR_FILENO) || now - p->shown < 0.1)
        return;
    p->shown = now;
    p->any = true;
    double left = done > 0.1 ? elapsed * (1 - done) / done : p->seconds - elapsed;
    fprintf(stderr, "\r%s: %.0f %%, %.0f s to go\x1b[K", what, 100 * done, left > 0 ? left : 0);
}

static void
hide(progress *p)
{
    if (p->any)
        fputs("\r\x1b[K", stderr);
    p->any = false;
}

/* ---- measuring ---- */

typedef struct probe {
    const probe_values *values;
    unsigned parts;
    progress progress;
    moe_measure how;
    moe_measured_memory memory;
    moe_measured_cpu cpu;
    moe_measured_disk disk;
    moe_measured_gpu gpu;
} probe;

/* The share of the time that a part gets, among those that are measured: in the order of the names.
 */
static double
weight_of(unsigned part, unsigned parts)
{
    const double weights[] = {0.15, 0.4, 0.25, 0.2};
    double all = 0, one = 0;
    for (size_t p = 0; p < MOE_COUNT(weights); p++) {
        all += parts & 1u << p ? weights[p] : 0;
        one = part == 1u << p ? weights[p] : one;
    }
    return one / all;
}

static void
begin(probe *p, unsigned part)
{
    p->progress.before += p->progress.weight;
    p->progress.weight = weight_of(part, p->parts);
    /* what is over of the parts before is this one's, too */
    p->how.until =
        p->progress.began + (p->progress.before + p->progress.weight) * (double)p->values->seconds;
}

/* One part: what it says is printed when it is done. False with `error`. */
static bool
measure_part(probe *p, unsigned part, GError **error)
{
    bool good = false;
    begin(p, part);
    if (part == MEMORY)
        good = moe_measure_memory(&p->how, &p->memory, error);
    if (part == CPU)
        good = moe_measure_cpu(&p->how, &p->cpu, error);
    if (part == DISK)
        good = moe_measure_disk(&p->how, p->values->disk ? p->values->disk : ".", &p->disk, error);
    if (part == GPU)
        good = moe_measure_gpu(&p->how, 0, 0, &p->gpu, error);
    hide(&p->progress);
    if (!good)
        return false;
    if (part == MEMORY)
        moe_probe_print_memory(&p->memory);
    if (part == CPU)
        moe_probe_print_cpu(&p->cpu);
    if (part == DISK)
        moe_probe_print_disk(&p->disk);
    if (part == GPU)
        moe_probe_print_gpu(&p->gpu);
    return true;
}

/* The GPU first: without one, its time is the others'. */
static bool
measure(probe *p, GError **error)
{
    static const unsigned parts[] = {GPU, MEMORY, CPU, DISK};
    for (size_t i = 0; i < MOE_COUNT(parts); i++)
        if (p->parts & parts[i] && !measure_part(p, parts[i], error))
            return false;
    return true;
}

/* ---- the results ---- */

/* Measured numbers may be such that no machine has them. */
static bool
loads(const GString *preset, const char *name, GError **error)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_hardware_set) set =
        moe_hardware_parse("preset", preset->str, preset->len, name, diag);
    if (set)
        return true;
    moe_say_diag(diag);
    g_set_error(error, MOE_ERROR, MOE_ERROR_PROGRAM,
                "what was measured is no machine: measure again, for longer");
    return false;
}

static bool
write_results(const probe *p, const char *name, GError **error)
{
    g_autoptr(GString) rows = g_string_new(NULL);
    g_autoptr(GString) preset = g_string_new(NULL);
    const moe_measured_machine machine = {.memory = p->parts & MEMORY ? &p->memory : NULL,
                                          .cpu = p->parts & CPU ? &p->cpu : NULL,
                                          .disk = p->parts & DISK ? &p->disk : NULL,
                                          .gpu = p->parts & GPU ? &p->gpu : NULL};
    moe_measured_table(&machine, rows);
    if (p->values->rows && !moe_out_file(p->values->rows, rows, error))
        return false;
    if (!p->values->output)
        return true;
    moe_measured_preset(&machine, name, preset);
    if (!loads(preset, name, error))
        return false;
    return moe_out_file(p->values->output, preset, error);
}

/* ---- what was asked for ---- */

static char *
name_of(const probe_values *v)
{
    if (v->name)
        return g_strdup(v->name);
    g_autofree char *base = g_path_get_basename(v->output ? v->output : "machine");
    if (g_str_has_suffix(base, ".yaml"))
        base[strlen(base) - strlen(".yaml")] = '\0';
    return g_steal_pointer(&base);
}

static bool
is_name(const char *name)
{
    for (const char *at = name; *at; at++)
        if (!g_ascii_isalnum(*at) && !strchr("-_.", *at))
            return false;
    return g_ascii_isalpha(*name);
}

/* 0, or the exit code after a message. */
static int
check(const probe_values *v, unsigned parts, const char *name, uint64_t *memory)
{
    uint64_t available = moe_memory_available();
    int64_t size = 0;
    *memory = MIN(available / 4, 2ull << 30);
    if (!parts)
        return MOE_EXIT_USAGE;
    if (v->output && (parts & (MEMORY | CPU)) != (MEMORY | CPU))
        return moe_say_usage(COMMAND,
                             "a preset wants memory and cpu: '--only %s' cannot be "
                             "written with '-o'",
                             v->only);
    if (!is_name(name))
        return moe_say_usage(COMMAND,
                             "'--name NAME' wants letters, digits, '-', '_' and '.', and a "
                             "letter first, not '%s'",
                             name);
    if (v->memory && (!moe_parse_bytes(v->memory, &size) || size < 16 * MOE_MIB))
        return moe_say_usage(COMMAND,
                             "'--memory' wants a size of 16MiB at least, such as 1GiB, not "
                             "'%s'",
                             v->memory);
    if (v->memory && (uint64_t)size > available) {
        moe_say("--memory %s: only %.1f GiB are available", v->memory,
                (double)available / (double)MOE_GIB);
        return MOE_EXIT_ENVIRONMENT;
    }
    if (v->memory)
        *memory = (uint64_t)size;
    if (v->output && v->rows && !strcmp(v->output, v->rows))
        return moe_say_usage(COMMAND, "'-o' and '--rows' both name %s", v->rows);
    int code = moe_out_room(v->output, v->force);
    return code ? code : moe_out_room(v->rows, v->force);
}

/* Before minutes are spent on what cannot be written then. */
static bool
can_write(const char *path, GError **error)
{
    moe_output *output = path ? moe_output_new(path, error) : NULL;
    if (output)
        moe_output_discard(output);
    return !path || output;
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const probe_values *v = data;
    g_autofree char *name = name_of(v);
    GError *error = NULL;
    probe *p = g_new0(probe, 1);
    p->values = v;
    p->parts = parts_of(v->only);
    int code = check(v, p->parts, name, &p->how.memory);
    if (code == MOE_EXIT_OK && can_write(v->output, &error) && can_write(v->rows, &error)) {
        p->how.threads = (uint32_t)v->threads;
        p->how.progress = show;
        p->how.context = &p->progress;
        p->progress.began = moe_measure_now();
        p->progress.seconds = (double)v->seconds;
        if (measure(p, &error))
            write_results(p, name, &error);
        hide(&p->progress);
    }
    moe_measured_cpu_clear(&p->cpu);
    moe_measured_gpu_clear(&p->gpu);
    g_free(p);
    return error ? moe_say_error(error) : code;
}

const moe_command moe_probe_command = {
    "probe",
    "",
    0,
    0,
    "Measure this machine, its memory, disk and processor, and write it as a preset.",
    "  moesim probe                                what this machine does, in under a minute\n"
    "  moesim probe -o mine.yaml                   the same, as a preset\n"
    "  moesim run scenarios/quickstart.yaml --set hardware=mine.yaml\n"
    "  moesim probe --only disk --disk fast-disk   a disk alone\n"
    "\n"
    "memory: how fast all of a buffer that no cache holds is read and copied, by 1, 2, 4 … "
    "threads,\n"
    "and how long a load takes that waits for the one before it.\n"
    "cpu: the expert kernels of moesim's own backend, with bf16 and f32 weights, for experts with "
    "1\n"
    "to 256 tokens: few tokens show how fast weights are read, many the highest rate.\n"
    "gpu: where the CUDA backend finds one, its expert kernels, and copies from pinned memory.\n"
    "disk: random reads of 4 KiB to 16 MiB, 1 to 32 of them in flight, past the page cache. They "
    "are\n"
    "of a file that is made for this in --disk DIR; it has no name, so that nothing is left "
    "behind\n"
    "however the command ends, and takes a quarter of what is free, 1 GiB at most.\n"
    "\n"
    "All is measured several times; the middle one counts, and where the repetitions are more "
    "than\n"
    "10 % apart it is said: something else was running. Every number of the preset says what it "
    "is\n"
    "and how it was got; edit it as you like. --rows keeps all points.\n",
    options,
    MOE_COUNT(options),
    sizeof(probe_values),
    run,
    NULL,
};
