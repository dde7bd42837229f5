/* Opening: the tensors found, their shapes compared, then every value checked. */
#include "traces/requests/requests_file.h"

#include "sim/base/units.h"
#include "traces/json_scan.h"
#include "traces/requests/names.h"
#include "traces/requests/timestamp.h"

#include <string.h>

typedef struct requests_reader {
    moe_requests_file *file;
    moe_loc loc;
    moe_diag *diag;
} requests_reader;

/* ---- metadata ---- */

static void
requests_clock(requests_reader *r)
{
    const char *clock = moe_requests_meta(r->file, "clock");
    const char *epoch = moe_requests_meta(r->file, "epoch_ns");
    moe_requests *requests = &r->file->requests;
    if (clock && strcmp(clock, "unix") == 0)
        requests->clock = MOE_CLOCK_UNIX;
    else if (clock && strcmp(clock, "trace") != 0)
        moe_diag_error(r->diag, r->loc, "metadata 'clock' is '%.40s', not unix or trace", clock);
    bool unix_clock = requests->clock == MOE_CLOCK_UNIX;
    int64_t min = unix_clock ? MOE_TIMESTAMP_MIN : 0,
            max = unix_clock ? MOE_TIMESTAMP_MAX : INT64_MAX;
    if (epoch && (!moe_parse_int(epoch, &requests->epoch_ns) || requests->epoch_ns < min ||
                  requests->epoch_ns > max))
        moe_diag_error(r->diag, r->loc, "metadata 'epoch_ns' is '%.40s', not a whole number %s",
                       epoch, unix_clock ? "of the years 1950 to 2200" : "from 0 on");
}

/* Names can be told apart, and written as CSV. */
static void
requests_check_models(requests_reader *r)
{
    const moe_requests *requests = &r->file->requests;
    moe_names seen = {0};
    for (uint32_t i = 0; i < requests->n_models; i++) {
        const char *name = requests->models[i], *wrong = NULL;
        for (const char *c = name; *c; c++)
            wrong = (unsigned char)*c < 0x20 || *c == 0x7F ? "holds a control character" : wrong;
        if (!*name)
            wrong = "is empty";
        else if (moe_names_add(&seen, name, strlen(name)) != i)
            wrong = "is there twice";
        if (!wrong)
            continue;
        moe_diag_error(r->diag, r->loc, "metadata 'models': name %u %s", i, wrong);
        break;
    }
    moe_names_clear(&seen);
}

/* Metadata 'models': ["gpt-4", "chatgpt"]. */
static void
requests_models(requests_reader *r)
{
    moe_requests *requests = &r->file->requests;
    const char *text = moe_requests_meta(r->file, "models");
    if (!text) {
        moe_diag_error(r->diag, r->loc, "tensor model is there, but metadata 'models' is absent");
        return;
    }
    size_t length = strlen(text);
    char *store = moe_requests_file_own(r->file, g_malloc(length + 1));
    const char **names = moe_requests_file_own(r->file, g_new(const char *, length / 2 + 1));
    moe_scan scan = {.begin = text, .at = text, .end = text + length, .store = store};
    if (!moe_scan_texts(&scan, names, MOE_REQUESTS_NO_MODEL, &requests->n_models) ||
        !moe_scan_end(&scan))
        moe_diag_error(r->diag, r->loc,
                       "metadata 'models', byte %td: %s; wants a JSON list of texts",
                       scan.at - scan.begin, scan.why);
    requests->models = names;
    requests_check_models(r);
}

/* ---- tensors ---- */

/* A tensor of one type and, unless `length` is 0, of that many elements; NULL when it is absent (a
 * message, if required), or wrong. */
static const void *
requests_column(requests_reader *r, const char *name, moe_tensor_type type, uint64_t length,
                bool required)
{
    const moe_tensor *tensor = moe_safetensors_find(r->file->tensors, name);
    if (!tensor) {
        if (required)
            moe_diag_error(r->diag, r->loc, "tensor %s is absent", name);
        return NULL;
    }
    if (tensor->type != type || tensor->rank != 1 || (length && tensor->shape[0] != length)) {
        g_autofree char *shape = moe_tensor_shape_text(tensor);
        g_autofree char *wanted =
            length ? g_strdup_printf("%" G_GUINT64_FORMAT, length) : g_strdup("requests");
        moe_diag_error(r->diag, r->loc, "tensor %s: is %s, wants %s [%s]", name, shape,
                       moe_tensor_type_name(type), wanted);
        return NULL;
    }
    if (moe_tensor_aligned(tensor))
        return tensor->data;
    void *copy = moe_requests_file_own(r->file, g_try_malloc(MAX(tensor->bytes, 1)));
    if (!copy)
        moe_diag_error(r->diag, r->loc, "tensor %s: no memory for a copy", name);
    else
        memcpy(copy, tensor->data, tensor->bytes);
    return copy;
}

static void
requests_blocks(requests_reader *r)
{
    moe_requests *requests = &r->file->requests;
    const char *text = moe_requests_meta(r->file, "block_tokens");
    bool any = moe_safetensors_find(r->file->tensors, "blocks") ||
               moe_safetensors_find(r->file->tensors, "block_first");
    int64_t block_tokens;
    if (!text && !any)
        return;
    if (!text || !moe_parse_int(text, &block_tokens) || block_tokens < 1 ||
        block_tokens > MOE_REQUESTS_MAX_TOKENS) {
        moe_diag_error(
            r->diag, r->loc, "metadata 'block_tokens' is %s%.40s%s, not a whole number 1 .. %u",
            text ? "'" : "", text ? text : "absent", text ? "'" : "", MOE_REQUESTS_MAX_TOKENS);
        return;
    }
    requests->block_tokens = (uint32_t)block_tokens;
    requests->block_first =
        requests_column(r, "block_first", MOE_TENSOR_U64, requests->n + 1, true);
    requests->blocks = requests_column(r, "blocks", MOE_TENSOR_U32, 0, true);
    if (!requests->block_first || !requests->blocks)
        return;
    uint64_t n = moe_safetensors_find(r->file->tensors, "blocks")->shape[0];
    uint64_t end = requests->block_first[requests->n];
    if (end != n)
        moe_diag_error(r->diag, r->loc,
                       "tensor block_first ends at %" G_GUINT64_FORMAT
                       ", but there are %" G_GUINT64_FORMAT " blocks",
                       end, n);
}

/* Everything but the values; false after messages. */
static bool
requests_shapes(requests_reader *r)
{
    moe_requests *requests = &r->file->requests;
    unsigned before = moe_diag_errors(r->diag);
    if (!moe_safetensors_expect(r->file->tensors, MOE_REQUESTS_FORMAT, MOE_REQUESTS_VERSION,
                                "request trace", r->diag))
        return false;
    requests_clock(r);
    requests->arrival_ns = requests_column(r, "arrival_ns", MOE_TENSOR_I64, 0, true);
    if (!requests->arrival_ns)
        return false;
    uint64_t n = moe_safetensors_find(r->file->tensors, "arrival_ns")->shape[0];
    if (n < 1 || n >= MOE_NONE) {
        moe_diag_error(r->diag, r->loc, "holds %s requests", n ? "too many" : "no");
        return false;
    }
    requests->n = n;
    requests->prompt = requests_column(r, "prompt", MOE_TENSOR_U32, n, true);
    requests->output = requests_column(r, "output", MOE_TENSOR_U32, n, true);
    requests->session = requests_column(r, "session", MOE_TENSOR_U32, n, false);
    requests->model = requests_column(r, "model", MOE_TENSOR_U16, n, false);
    if (requests->model)
        requests_models(r);
    requests_blocks(r);
    return moe_diag_errors(r->diag) == before;
}

/* Requests over `tensors`, which it takes; NULL after messages. */
static moe_requests_file *
requests_from(moe_safetensors *tensors, moe_diag *diag)
{
    moe_requests_file *file = moe_requests_file_new(moe_safetensors_path(tensors));
    file->tensors = tensors;
    file->n_meta = moe_safetensors_meta_count(tensors);
    file->meta = g_new(moe_meta, file->n_meta + 1);
    for (size_t i = 0; i < file->n_meta; i++)
        file->meta[i].key = moe_safetensors_meta_at(tensors, i, &file->meta[i].value);
    requests_reader r = {file, {.file = moe_diag_intern(diag, file->path)}, diag};
    if (requests_shapes(&r) && moe_requests_check(&file->requests, diag))
        return file;
    moe_requests_close(file);
    return NULL;
}

moe_requests_file *
moe_requests_open(const char *path, moe_diag *diag, GError **error)
{
    moe_safetensors *tensors = moe_safetensors_open(path, diag, error);
    return tensors ? requests_from(tensors, diag) : NULL;
}

moe_requests_file *
moe_requests_open_memory(const char *name, const void *bytes, size_t n_bytes, moe_diag *diag)
{
    moe_safetensors *tensors = moe_safetensors_parse(name, bytes, n_bytes, diag);
    return tensors ? requests_from(tensors, diag) : NULL;
}

bool
moe_requests_recognise(const char *path)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_safetensors) tensors = moe_safetensors_open(path, diag, NULL);
    const char *format = tensors ? moe_safetensors_meta(tensors, "format") : NULL;
    return format && strcmp(format, MOE_REQUESTS_FORMAT) == 0;
}
