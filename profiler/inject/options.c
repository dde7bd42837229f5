#include "profiler/inject/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t bits;
} traces[] = {
    {"kernel", MOE_TRACE_KERNEL}, {"memop", MOE_TRACE_MEMOP},
    {"api", MOE_TRACE_API},       {"nvtx", MOE_TRACE_NVTX},
    {"route", MOE_TRACE_ROUTE},   {"graph-node", MOE_TRACE_GRAPH_NODE},
    {"graph", MOE_TRACE_GRAPH},   {"counters", MOE_TRACE_COUNTERS},
};

static const uint32_t default_trace = MOE_TRACE_KERNEL | MOE_TRACE_MEMOP | MOE_TRACE_API |
                                      MOE_TRACE_NVTX | MOE_TRACE_ROUTE | MOE_TRACE_GRAPH_NODE;
static const uint64_t default_buffer_mib = 512;
static const uint64_t most_ms = UINT64_C(1000) * 86400 * 365;

static void
complain(moe_options *options, const char *variable, const char *value)
{
    size_t used = strlen(options->complaint);
    snprintf(options->complaint + used, sizeof options->complaint - used,
             "%s%s: '%.60s' is not understood", used > 0 ? "; " : "", variable, value);
}

static uint32_t
trace_bits(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
        if (strlen(traces[i].name) == length && memcmp(traces[i].name, word, length) == 0)
            return traces[i].bits;
    return 0;
}

static void
read_trace(moe_options *options)
{
    const char *list = getenv("MOESIM_TRACE");
    options->trace = default_trace;
    if (list == NULL || *list == '\0')
        return;
    options->trace = 0;
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        uint32_t bits = trace_bits(list, length);
        if (bits == 0 && length > 0) {
            char word[64];
            snprintf(word, sizeof word, "%.*s", (int)(length < 60 ? length : 60), list);
            complain(options, "MOESIM_TRACE", word);
        }
        options->trace |= bits;
        list += length;
        list += *list == ',';
    }
}

static void
read_window(moe_options *options)
{
    const char *value = getenv("MOESIM_RANGE");
    if (value == NULL || *value == '\0' || strcmp(value, "all") == 0)
        return;
    if (strcmp(value, "profiler-api") == 0) {
        options->window = MOE_WINDOW_PROFILER;
        return;
    }
    const char *name = value + 5;
    if (strncmp(value, "nvtx:", 5) != 0 || *name == '\0') {
        complain(options, "MOESIM_RANGE", value);
        return;
    }
    const char *slash = strchr(name, '/');
    size_t domain = slash != NULL ? (size_t)(slash - name) : 0;
    const char *range = slash != NULL ? slash + 1 : name;
    if (domain >= sizeof options->domain || strlen(range) >= sizeof options->range ||
        *range == '\0') {
        complain(options, "MOESIM_RANGE", value);
        return;
    }
    options->window = MOE_WINDOW_NVTX;
    memcpy(options->domain, name, domain);
    memcpy(options->range, range, strlen(range));
}

static uint64_t
read_number(moe_options *options, const char *variable, uint64_t otherwise, uint64_t most)
{
    const char *value = getenv(variable);
    if (value == NULL || *value == '\0')
        return otherwise;
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno != 0 || *end != '\0' || *value < '0' || *value > '9' || number > most) {
        complain(options, variable, value);
        return otherwise;
    }
    return number;
}

bool
moe_options_read(moe_options *options)
{
    *options = (moe_options){.folder = getenv("MOESIM_CAPTURE"),
                             .cupti_path = getenv("MOESIM_CUPTI_LIB"),
                             .log_path = getenv("MOESIM_LOG")};
    if (options->folder == NULL || *options->folder == '\0')
        return false;
    read_trace(options);
    read_window(options);
    options->delay_ns = read_number(options, "MOESIM_DELAY_MS", 0, most_ms) * 1000000;
    options->duration_ns = read_number(options, "MOESIM_DURATION_MS", 0, most_ms) * 1000000;
    options->max_buffer_bytes =
        read_number(options, "MOESIM_MAX_BUFFER_MIB", default_buffer_mib, 1u << 20) << 20;
    return true;
}

void
moe_options_trace(const moe_options *options, char *out, size_t room)
{
    size_t used = 0;
    *out = '\0';
    for (size_t i = 0; i < sizeof traces / sizeof *traces && used < room; i++)
        if (options->trace & traces[i].bits)
            used += (size_t)snprintf(out + used, room - used, "%s%s", used > 0 ? "," : "",
                                     traces[i].name);
}
