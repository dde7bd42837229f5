/* An index of shards, beside three good ones: a.safetensors of tokens 0 .. 2, b.safetensors of 3,
 * 4, c.safetensors as a with a tensor that is not of tokens. What is let through must be those five
 * tokens. */
#include "traces/routing.h"
#include "traces/shards.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"a.safetensors", "b.safetensors", "c.safetensors",
                                    "x" MOE_SHARDS_SUFFIX};
static char *folder, *paths[MOE_COUNT(names)];

static void
clean(void)
{
    for (size_t i = 0; i < MOE_COUNT(names); i++) {
        g_unlink(paths[i]);
        g_free(paths[i]);
    }
    g_rmdir(folder);
    g_free(folder);
}

static void
prepare(void)
{
    folder = g_build_filename(g_get_tmp_dir(), "moesim-shards-fuzz-XXXXXX", NULL);
    moe_assert(g_mkdtemp(folder), "no folder %s", folder);
    for (size_t i = 0; i < MOE_COUNT(names); i++)
        paths[i] = g_build_filename(folder, names[i], NULL);
    for (uint32_t shard = 0; shard < 3; shard++) {
        moe_routing_builder *b = moe_routing_builder_new(2, 8, 2);
        for (uint32_t i = shard % 2 * 3; i < 3 + shard % 2 * 2; i++)
            moe_routing_builder_add(b, 0, i, MOE_DECODE, (const uint16_t[]){0, 1, 2, 3}, NULL);
        if (shard == 2)
            moe_routing_builder_similarity(b, 1, (const float[]){NAN, 0.5f});
        moe_assert(moe_routing_builder_write(b, paths[shard], NULL), "cannot write %s",
                   paths[shard]);
    }
    atexit(clean);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!folder)
        prepare();
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_assert(g_file_set_contents_full(paths[3], (const char *)data, (gssize)size,
                                        G_FILE_SET_CONTENTS_NONE, 0600, NULL),
               "cannot write %s", paths[3]);
    g_autoptr(moe_routing_file) file = moe_routing_open(paths[3], diag, &error);
    moe_assert(!file == (error || moe_diag_errors(diag) > 0), "neither a routing nor a message");
    if (file) {
        const moe_routing *r = moe_routing_get(file);
        uint64_t n = r->n_tokens;
        moe_assert((n == 5 || n == 3) && r->position[n - 1] == n - 1, "%d tokens", (int)n);
        moe_assert(!r->similarity || r->similarity[1] == 0.5f, "similarity");
    }
    return 0;
}
