/* Inside the importer of PyTorch profiler traces (kineto's Chrome trace JSON): one event after
 * another, without a tree, so that traces of gigabytes pass. */
#ifndef MOE_PROFILER_IMPORT_TORCH_H
#define MOE_PROFILER_IMPORT_TORCH_H

#include "profiler/import_calls.h"

/* What a category of events is to a profile. */
typedef enum moe_torch_kind {
    MOE_TORCH_OTHER, /* of no place in a profile: counted */
    MOE_TORCH_RANGE,
    MOE_TORCH_RUNTIME,
    MOE_TORCH_DRIVER,
    MOE_TORCH_KERNEL,
    MOE_TORCH_MEMCPY,
    MOE_TORCH_MEMSET,
    MOE_TORCH_WAIT,
    MOE_TORCH_OVERHEAD,
} moe_torch_kind;

/* An event with a duration; numbers are MOE_PROFILE_NULL where the trace says nothing. */
typedef struct moe_torch_event {
    moe_torch_kind kind;
    GString *category, *name, *wait; /* wait: args.cuda_sync_kind */
    int64_t pid, thread, start_ns, duration_ns;
    int64_t correlation, device, context, stream, bytes, registers, shared, graph, node;
    int64_t grid[3], block[3];
    char phase; /* X: with a duration */
} moe_torch_event;

/* What stands beside the events. */
typedef struct moe_torch_device {
    int64_t device, memory_bytes, major, minor, sms;
    char *name;
} moe_torch_device;
typedef struct moe_torch_head {
    int64_t base_ns, rank;
    GArray *devices;   /* moe_torch_device */
    GHashTable *texts; /* name -> text: what else is said at the top */
    bool events;       /* there was a list of them */
} moe_torch_head;

typedef bool moe_torch_visit(void *context, moe_torch_event *event);

void moe_torch_head_init(moe_torch_head *head);
void moe_torch_head_clear(moe_torch_head *head);
/* A file, or bytes under its name. */
typedef struct moe_torch_input {
    const char *file;
    const void *bytes; /* NULL: of the file */
    size_t n;
} moe_torch_input;

bool moe_torch_import(const moe_torch_input *input, moe_profile_writer *writer, moe_diag *diag,
                      GError **error);
/* Reads the input and gives each event to `visit`, until that says false. False: a message, or
 * `error`. `head` may be NULL. */
bool moe_torch_read(const moe_torch_input *input, moe_torch_head *head, moe_torch_visit *visit,
                    void *context, moe_diag *diag, GError **error);

#endif
