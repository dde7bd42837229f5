#include "profiler/tokens_private.h"

#include "sim/base/error.h"
#include "traces/import/npy_format.h"
#include "traces/shards.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKENS_MAX_ERRORS = 20, TOKENS_HEAD = 16 };

moe_tokens *
moe_tokens_new(void)
{
    moe_tokens *t = g_new0(moe_tokens, 1);
    t->sequences = g_array_new(FALSE, FALSE, sizeof(moe_token_sequence));
    t->domains = g_ptr_array_new_with_free_func(g_free);
    t->paths = g_ptr_array_new_with_free_func(g_free);
    t->owned = g_ptr_array_new_with_free_func(g_free);
    return t;
}

void
moe_tokens_free(moe_tokens *t)
{
    if (!t)
        return;
    g_array_unref(t->sequences);
    g_ptr_array_unref(t->domains);
    g_ptr_array_unref(t->paths);
    g_ptr_array_unref(t->owned);
    g_free(t);
}

uint32_t
moe_tokens_domain(moe_tokens *t, const char *name)
{
    for (guint i = 0; i < t->domains->len; i++)
        if (strcmp(t->domains->pdata[i], name) == 0)
            return i;
    if (t->domains->len == MOE_TOKENS_MAX_DOMAINS)
        return MOE_NONE;
    g_ptr_array_add(t->domains, g_strdup(name));
    return t->domains->len - 1;
}

void
moe_tokens_name_rest(moe_tokens *t, const char *domain)
{
    for (size_t s = 0; s < moe_tokens_count(t) && t->domains->len; s++)
        if (moe_tokens_at(t, s)->domain == MOE_NONE)
            moe_tokens_at(t, s)->domain = moe_tokens_domain(t, domain);
}

bool
moe_tokens_add(moe_tokens *t, GArray *ids, uint64_t n_prompt, uint32_t domain, moe_loc at,
               uint32_t in_file, moe_diag *diag)
{
    guint n = ids->len;
    uint32_t *data = (uint32_t *)(void *)g_array_free(ids, FALSE);
    if (n == 0 || n_prompt < 1 || n_prompt > n || t->sequences->len >= MOE_NONE - 1) {
        g_free(data);
        if (n == 0)
            moe_diag_error(diag, at, "sequence %u has no token", in_file);
        else
            moe_diag_error(
                diag, at,
                "sequence %u: 'prompt' must be 1 .. %u, its tokens, not %" G_GUINT64_FORMAT,
                in_file, n, n_prompt);
        return false;
    }
    g_ptr_array_add(t->owned, data);
    moe_token_sequence sequence = {data, n, (uint32_t)n_prompt, domain, at, in_file};
    sequence.at.file = g_ptr_array_index(t->paths, t->paths->len - 1);
    g_array_append_val(t->sequences, sequence);
    return true;
}

/* ---- what a file is ---- */

typedef enum tokens_format {
    TOKENS_LINES,
    TOKENS_NPY,
    TOKENS_U32,
    TOKENS_TRACE,
} tokens_format;

/* By its first bytes: of a safetensors file, a short length and the '{' of the header. */
static bool
tokens_sniff(const char *path, tokens_format *format, GError **error)
{
    unsigned char head[TOKENS_HEAD] = {0};
    static const unsigned char high[4] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe has nobody at its other end */
    ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head);
    int problem = errno;
    struct stat status;
    bool regular = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (fd >= 0)
        close(fd);
    if (n < 0 && (fd < 0 || problem != EAGAIN)) {
        moe_error_path(error, MOE_ERROR_FILE, path, problem, "cannot read");
        return false;
    }
    if (!regular) {
        moe_error_path(error, MOE_ERROR_FILE, path, 0, "is not a regular file");
        return false;
    }
    *format = TOKENS_LINES;
    if (moe_shards_is_index(path) || (n > 8 && head[8] == '{' && memcmp(head + 4, high, 4) == 0))
        *format = TOKENS_TRACE;
    else if (moe_npy_is(head, (size_t)n))
        *format = TOKENS_NPY;
    else if (g_str_has_suffix(path, ".u32"))
        *format = TOKENS_U32;
    return true;
}

uint32_t
moe_tokens_cut(moe_tokens *t, size_t first, uint32_t most, uint32_t decode)
{
    uint32_t n_cut = 0;
    moe_assert(decode < most, "%u decode steps in %u positions", decode, most);
    for (size_t s = first; s < moe_tokens_count(t); s++) {
        moe_token_sequence *sequence = moe_tokens_at(t, s);
        if (moe_token_sequence_span(sequence, decode) <= most)
            continue;
        sequence->n = most - (sequence->n == sequence->n_prompt ? decode : 0);
        sequence->n_prompt = MIN(sequence->n_prompt, sequence->n);
        n_cut++;
    }
    return n_cut;
}

bool
moe_tokens_check(const moe_tokens *t, uint32_t vocab, moe_diag *diag)
{
    unsigned errors = 0;
    for (size_t s = 0; s < moe_tokens_count(t); s++) {
        const moe_token_sequence *sequence = moe_tokens_at(t, s);
        for (uint32_t i = 0; i < sequence->n && errors < TOKENS_MAX_ERRORS; i++) {
            if (MOE_LIKELY(sequence->ids[i] < vocab))
                continue;
            moe_diag_error(diag, sequence->at,
                           "sequence %u, position %u: token %u, but the model's vocabulary has %u "
                           "tokens",
                           sequence->in_file, i, sequence->ids[i], vocab);
            errors++;
            break;
        }
    }
    return errors == 0;
}

bool
moe_tokens_read(moe_tokens *t, const char *path, moe_diag *diag, GError **error)
{
    static bool (*const readers[])(moe_tokens *, const char *, moe_diag *, GError **) = {
        [TOKENS_LINES] = moe_tokens_lines,
        [TOKENS_NPY] = moe_tokens_npy,
        [TOKENS_U32] = moe_tokens_u32,
        [TOKENS_TRACE] = moe_tokens_trace,
    };
    tokens_format format;
    return tokens_sniff(path, &format, error) && readers[format](t, path, diag, error);
}
