/* Token ids as numbers in binary: of numpy, raw, and those that a trace recorded. */
#include "profiler/tokens_private.h"

#include "sim/base/error.h"
#include "traces/import/npy_format.h"
#include "traces/routing.h"

#include <errno.h>
#include <string.h>

/* The content of a file that will be held in memory anyway. */
static char *
binary_content(const char *path, gsize *length, GError **error)
{
    char *bytes = NULL;
    g_autoptr(GError) problem = NULL;
    if (g_file_get_contents(path, &bytes, length, &problem))
        return bytes;
    moe_error_path(error, MOE_ERROR_FILE, path, 0, "cannot read: %s", problem->message);
    return NULL;
}

/* ---- npy ---- */

static bool
npy_row(moe_tokens *tokens, const moe_array *array, uint64_t row, moe_loc at, moe_diag *diag)
{
    moe_array line = *array;
    if (array->rank == 2)
        moe_array_at(array, 0, row, &line);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (uint64_t i = 0; i < line.shape[0]; i++) {
        int64_t id = moe_array_whole(&line, i);
        if (id < 0 || id >= MOE_NONE) {
            moe_diag_error(diag, at,
                           "sequence %" G_GUINT64_FORMAT ", position %" G_GUINT64_FORMAT
                           ": %" G_GINT64_FORMAT " is no token id",
                           row, i, id);
            return false;
        }
        uint32_t narrow = (uint32_t)id;
        g_array_append_val(ids, narrow);
    }
    guint n = ids->len;
    return moe_tokens_add(tokens, g_steal_pointer(&ids), n, MOE_NONE, at, (uint32_t)row, diag);
}

bool
moe_tokens_npy(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error)
{
    gsize length;
    g_autofree char *bytes = binary_content(path, &length, error);
    moe_loc at = {.file = moe_diag_intern(diag, path)};
    moe_place place = {.loc = at, .part = "", .diag = diag};
    moe_array array = {0};
    if (!bytes || !moe_npy_parse(&array, bytes, length, &place))
        return false;
    uint64_t n = array.rank == 2 ? array.shape[0] : 1;
    uint64_t each = array.rank ? array.shape[array.rank - 1] : 0;
    if (!moe_array_is_whole(&array) || array.rank < 1 || array.rank > 2 || n < 1 || each < 1 ||
        n >= MOE_NONE || each >= MOE_NONE) {
        g_autofree char *text = moe_array_text(&array);
        moe_diag_error(diag, at,
                       "is %s, wants whole numbers [length] or [sequences, length], at least one",
                       text);
        return false;
    }
    g_ptr_array_add(tokens->paths, g_strdup(path));
    bool ok = true;
    for (uint64_t row = 0; row < n && ok; row++)
        ok = npy_row(tokens, &array, row, at, diag);
    return ok;
}

/* ---- raw ---- */

bool
moe_tokens_u32(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error)
{
    gsize length;
    g_autofree char *bytes = binary_content(path, &length, error);
    moe_loc at = {.file = moe_diag_intern(diag, path)};
    if (!bytes)
        return false;
    if (length == 0 || length % 4 || length / 4 >= MOE_NONE) {
        moe_diag_error(diag, at,
                       length ? "%" G_GSIZE_FORMAT " bytes are no whole number of 32-bit token ids"
                              : "is empty: there is no token (%" G_GSIZE_FORMAT " bytes)",
                       length);
        return false;
    }
    GArray *ids = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), (guint)(length / 4));
    for (gsize i = 0; i < length; i += 4) {
        uint32_t id;
        memcpy(&id, bytes + i, sizeof id);
        id = GUINT32_FROM_LE(id);
        g_array_append_val(ids, id);
    }
    g_ptr_array_add(tokens->paths, g_strdup(path));
    return moe_tokens_add(tokens, ids, length / 4, MOE_NONE, at, 0, diag);
}

/* ---- traces ---- */

/* Sequence `s`, from its first position on without holes. */
static bool
trace_sequence(moe_tokens *tokens, const moe_routing *r, uint32_t s, moe_loc at, moe_diag *diag)
{
    uint64_t n = r->sequence_first[s + 1] - r->sequence_first[s], n_prompt = 0;
    g_autoptr(GArray) ids = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), (guint)n);
    uint32_t domain = MOE_NONE;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t row = moe_routing_token(r, s, i);
        if (r->position[row] != i) {
            moe_diag_error(diag, at,
                           "sequence %u: position %" G_GUINT64_FORMAT
                           " is absent, so it cannot be run again",
                           r->sequence_ids[s], i);
            return false;
        }
        g_array_append_val(ids, r->token_id[row]);
        n_prompt += r->phase[row] == MOE_PREFILL && n_prompt == i;
        if (r->domain_names && i == 0)
            domain = moe_tokens_domain(tokens, r->domain_names[r->domain[row]]);
    }
    return moe_tokens_add(tokens, g_steal_pointer(&ids), MAX(n_prompt, 1), domain, at, s, diag);
}

bool
moe_tokens_trace(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error)
{
    g_autoptr(moe_routing_file) file = moe_routing_open(path, diag, error);
    moe_loc at = {.file = moe_diag_intern(diag, path)};
    if (!file)
        return false;
    const moe_routing *r = moe_routing_get(file);
    if (!r->token_id) {
        moe_diag_error(diag, at, "a trace without token ids: what it was captured from is unknown");
        return false;
    }
    g_ptr_array_add(tokens->paths, g_strdup(path));
    bool ok = true;
    for (uint32_t s = 0; s < r->n_sequences && ok; s++)
        ok = trace_sequence(tokens, r, s, at, diag);
    return ok;
}
