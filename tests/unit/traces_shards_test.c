/* Traces in shards: what is written is what one file would hold; what is wrong is said. */
#include "tests/test.h"

#include "traces/routing.h"
#include "traces/shards.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAYERS = 2, K = 2, KILLED = 300 };

static moe_routing_builder *
made(uint32_t n_tokens)
{
    moe_routing_builder *b = moe_routing_builder_new(LAYERS, 300, K);
    for (uint32_t i = 0; i < n_tokens; i++) {
        const uint16_t a = (uint16_t)(i % 299), c = (uint16_t)(i / 3 % 299);
        const float w = (float)i;
        moe_routing_builder_add(b, i / 50, i % 50, MOE_DECODE,
                                (const uint16_t[]){a, a + 1, c + 1, c},
                                (const float[]){w, w / 2, w / 4, w / 8});
        moe_routing_builder_token_id(b, i * 7);
    }
    return b;
}

/* A folder of its own, emptied and removed by folder_free. */
static char *
folder_new(void)
{
    g_autofree char *name = g_build_filename(g_get_tmp_dir(), "moesim-shards-XXXXXX", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(g_mkdtemp(name));
    return g_steal_pointer(&name);
}

static unsigned
folder_empty(const char *folder)
{
    unsigned n = 0;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir)); n++) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    return n;
}

static void
folder_free(char *folder)
{
    folder_empty(folder);
    g_rmdir(folder);
    g_free(folder);
}

static unsigned
differences(const moe_routing *a, const moe_routing *b)
{
    if (a->n_tokens != b->n_tokens || a->n_layers != b->n_layers || a->k != b->k)
        return 1;
    size_t n = (size_t)a->n_tokens * LAYERS * K;
    return (unsigned)((memcmp(a->ids, b->ids, n * 2) != 0) +
                      (memcmp(a->weights, b->weights, n * 4) != 0) +
                      (memcmp(a->sequence, b->sequence, a->n_tokens * 4) != 0) +
                      (memcmp(a->position, b->position, a->n_tokens * 4) != 0) +
                      (memcmp(a->token_id, b->token_id, a->n_tokens * 4) != 0) +
                      (memcmp(a->phase, b->phase, a->n_tokens) != 0));
}

/* Sizes around the borders: one row each, no alignment, pages, pages and a rest. */
static void
same_as_one_file(void)
{
    static const struct {
        uint32_t n_tokens;
        uint64_t shard_bytes;
        uint32_t n_shards;
    } cases[] = {{7, 1, 7},          {7, 1000000, 0},   {100, 1000, 4},
                 {10000, 180000, 3}, {8192, 160000, 2}, {9000, 160000, 3}};
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autofree char *index = g_strconcat(path, MOE_SHARDS_SUFFIX, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(moe_routing_file) whole =
            moe_routing_builder_finish(made(cases[i].n_tokens), "built");
        uint32_t n;
        CU_ASSERT_TRUE_FATAL(moe_routing_builder_write_shards(made(cases[i].n_tokens), path,
                                                              cases[i].shard_bytes, &n, NULL));
        MOE_CHECK(n == cases[i].n_shards, "case %zu: %u shards", i, n);
        g_autoptr(moe_routing_file) file = moe_routing_open(n ? index : path, diag, NULL);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(file != NULL, "case %zu: %s", i, text);
        if (file)
            CU_ASSERT_EQUAL(differences(moe_routing_get(whole), moe_routing_get(file)), 0);
        if (n) { /* each shard is a trace too */
            g_autofree char *first = g_strdup_printf("%s/x-00001-of-%05u.safetensors", folder, n);
            g_autoptr(moe_routing_file) alone = moe_routing_open(first, diag, NULL);
            CU_ASSERT_PTR_NOT_NULL(alone);
            CU_ASSERT_PTR_NULL(alone ? moe_routing_meta(alone, MOE_SHARDS_WRITE_ID) : "");
        }
        MOE_CHECK(folder_empty(folder) == (n ? n + 1 : 1), "case %zu", i);
    }
    folder_free(folder);
}

/* Two shards of three tokens and an index in which one text is replaced by another. */
static char *
refused(const char *from, const char *to, void (*spoil)(const char *folder))
{
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autofree char *index = g_strconcat(path, MOE_SHARDS_SUFFIX, NULL);
    g_autofree char *content = NULL;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    uint32_t n;
    moe_routing_builder *b = made(6);
    CU_ASSERT_TRUE_FATAL(moe_routing_builder_write_shards(b, path, 115, &n, NULL));
    CU_ASSERT_EQUAL(n, 2);
    CU_ASSERT_TRUE_FATAL(g_file_get_contents(index, &content, NULL, NULL));
    GString *text = g_string_new(content);
    if (from)
        MOE_CHECK(g_string_replace(text, from, to, 0) > 0, "no '%s' in the index", from);
    g_file_set_contents(index, text->str, (gssize)text->len, NULL);
    if (spoil)
        spoil(folder);
    g_autoptr(moe_routing_file) file = moe_routing_open(index, diag, &error);
    CU_ASSERT_PTR_NULL(file);
    g_string_truncate(text, 0);
    g_autofree char *messages = moe_diag_render(diag);
    g_string_append(text, error ? error->message : messages);
    folder_free(folder);
    return g_string_free(text, FALSE);
}

static void
rewrite(const char *folder, moe_routing_builder *b)
{
    g_autofree char *path = g_build_filename(folder, "x-00002-of-00002.safetensors", NULL);
    CU_ASSERT_TRUE(moe_routing_builder_write(b, path, NULL));
}

static void
missing(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "x-00002-of-00002.safetensors", NULL);
    g_unlink(path);
}

static void
damaged(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "x-00002-of-00002.safetensors", NULL);
    g_file_set_contents(path, "\x08\0\0\0\0\0\0\0{", 9, NULL);
}

static void
longer(const char *folder)
{
    rewrite(folder, made(4));
}

static void
another_model(const char *folder)
{
    moe_routing_builder *b = made(3);
    moe_routing_builder_meta(b, "model", "other");
    rewrite(folder, b);
}

static void
another_shape(const char *folder)
{
    moe_routing_builder *b = moe_routing_builder_new(1, 300, 1);
    for (uint32_t i = 0; i < 3; i++) {
        moe_routing_builder_add(b, 9, i, MOE_DECODE, (const uint16_t[]){1}, (const float[]){1});
        moe_routing_builder_token_id(b, i);
    }
    rewrite(folder, b);
}

static void
fewer_tensors(const char *folder)
{
    moe_routing_builder *b = moe_routing_builder_new(LAYERS, 300, K);
    for (uint32_t i = 0; i < 3; i++)
        moe_routing_builder_add(b, 9, i, MOE_DECODE, (const uint16_t[]){1, 2, 3, 4}, NULL);
    rewrite(folder, b);
}

static void
refuses(void)
{
    static const struct {
        const char *from, *to;
        void (*spoil)(const char *folder);
        const char *message;
    } cases[] = {
        {NULL, NULL, missing,
         ".index.json: error: shard x-00002-of-00002.safetensors is missing; all shards belong "
         "beside the index"},
        {NULL, NULL, damaged, "x-00002-of-00002.safetensors: error: header of 8 bytes"},
        {NULL, NULL, longer,
         "x-00002-of-00002.safetensors: tensor gate_weights is F32 [4, 2, 2], but the index says 3 "
         "rows"},
        {NULL, NULL, another_model,
         "x-00002-of-00002.safetensors was not written with this index: its write_id is '', that "
         "of the index '"},
        {"\"write_id\"", "\"other_id\"", another_model,
         "shards disagree: metadata 'write_id' is '"},
        {"\"write_id\": \"", "\"write_id\": \"0", NULL,
         "x-00001-of-00002.safetensors was not written with this index: its write_id is '"},
        {NULL, NULL, another_shape,
         "shards disagree: tensor gate_weights is F32 [3, 2, 2] in "
         "x-00001-of-00002.safetensors, F32 [3, 1, 1] in x-00002"},
        {NULL, NULL, fewer_tensors,
         "holds 4 tensors, x-00001-of-00002.safetensors 6, and the index "
         "names 6"},
        {"[3:6]", "[2:5]", NULL,
         "x-00002-of-00002.safetensors: tokens from 2 on overlap those of x-00001-of-00002."
         "safetensors, which go up to 3"},
        {"[3:6]", "[4:7]", NULL,
         "tokens 3 .. 3 are in no shard: between x-00001-of-00002.safetensors and x-00002"},
        {"phase[3:6]", "phase[3:5]", NULL,
         "tensor phase has rows 3:5, but others of that shard "
         "3:6"},
        {"phase[3:6]", "phase[6:3]", NULL, "weight_map: 'phase[6:3]' is no TENSOR[FIRST:LAST]"},
        {"phase[3:6]", "phase", NULL,
         "tensor phase, without rows, is not in the first shard, x-00001"},
        {"phase[3:6]", "gone[3:6]", NULL, "tensor phase is not in the index"},
        {"\"x-00001-of", "\"../x-00001-of", NULL, "is no file beside the index"},
        {"\"metadata\"", "\"meta\"", NULL, "wants metadata or weight_map"},
        {"\"weight_map\"", "\"metadata\"", NULL, "no weight_map: names no shard"},
        {"}\n}", "}", NULL, "wants ',' or '}'"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = refused(cases[i].from, cases[i].to, cases[i].spoil);
        MOE_CHECK(strstr(text, cases[i].message), "case %zu: '%s' instead of '%s'", i, text,
                  cases[i].message);
    }
}

/* The hash covers the shards, not the index alone. */
static void
hashed(void)
{
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autofree char *index = g_strconcat(path, MOE_SHARDS_SUFFIX, NULL);
    uint32_t n;
    CU_ASSERT_TRUE_FATAL(moe_routing_builder_write_shards(made(6), path, 115, &n, NULL));
    g_autofree char *before = moe_shards_hash(index, NULL), *again = moe_shards_hash(index, NULL);
    another_model(folder);
    g_autofree char *after = moe_shards_hash(index, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(before);
    CU_ASSERT_STRING_EQUAL(before, again);
    CU_ASSERT_STRING_NOT_EQUAL(before, after);
    missing(folder);
    g_autoptr(GError) error = NULL;
    CU_ASSERT_PTR_NULL(moe_shards_hash(index, &error));
    CU_ASSERT_PTR_NOT_NULL(error);
    folder_free(folder);
}

/* No place for the second shard: the first goes too. */
static void
nothing_left(void)
{
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autofree char *taken = g_build_filename(folder, "x-00002-of-00002.safetensors", NULL);
    g_autoptr(GError) error = NULL;
    uint32_t n;
    CU_ASSERT_EQUAL(g_mkdir(taken, 0777), 0);
    CU_ASSERT_FALSE(moe_routing_builder_write_shards(made(6), path, 115, &n, &error));
    CU_ASSERT_PTR_NOT_NULL(error);
    g_rmdir(taken);
    CU_ASSERT_EQUAL(folder_empty(folder), 0);
    folder_free(folder);
}

static char *
hash_of(const char *index)
{
    return moe_shards_hash(index, NULL);
}

/* Room for the shards, none for the index: the older trace stays as it was. */
static void
older_stays(void)
{
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autofree char *index = g_strconcat(path, MOE_SHARDS_SUFFIX, NULL);
    g_autoptr(GError) error = NULL;
    uint32_t n;
    CU_ASSERT_TRUE_FATAL(moe_routing_builder_write_shards(made(60), path, 1, &n, NULL));
    g_autofree char *before = hash_of(index);
    moe_routing_builder *b = made(60);
    moe_routing_builder_meta(b, "model", "other");
    struct rlimit was, limit;
    getrlimit(RLIMIT_FSIZE, &was);
    limit = was;
    limit.rlim_cur = 4096;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    bool ok = moe_routing_builder_write_shards(b, path, 1, &n, &error);
    setrlimit(RLIMIT_FSIZE, &was);
    signal(SIGXFSZ, handler);
    CU_ASSERT_FALSE(ok);
    MOE_CHECK(error && g_str_has_suffix(error->message, "index.json: cannot write: File too large"),
              "%s", error ? error->message : "no error");
    g_autofree char *after = hash_of(index);
    CU_ASSERT_STRING_EQUAL(before, after ? after : "gone");
    MOE_CHECK(folder_empty(folder) == 61, "n %u", n);
    folder_free(folder);
}

/* A row to a shard; layer 1 has `expert`. */
static void
write_of(const char *path, uint16_t expert)
{
    uint32_t n;
    moe_routing_builder *b = moe_routing_builder_new(LAYERS, 300, K);
    for (uint32_t t = 0; t < KILLED; t++)
        moe_routing_builder_add(b, 0, t, MOE_DECODE, (const uint16_t[]){1, 2, expert, 5}, NULL);
    moe_routing_builder_write_shards(b, path, 1, &n, NULL);
}

/* Until another file has the name, for a second at most: the shards are being moved. */
static void
wait_for_change(const char *path)
{
    struct stat before = {0}, now = {0};
    gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC;
    stat(path, &before);
    do
        stat(path, &now);
    while (now.st_ino == before.st_ino && g_get_monotonic_time() < end);
}

static void
killed(void)
{
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autofree char *shard = g_build_filename(folder, "x-00001-of-00300.safetensors", NULL);
    g_autofree char *index = g_strconcat(path, MOE_SHARDS_SUFFIX, NULL);
    for (unsigned i = 0; i < 5; i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        write_of(path, 4);
        pid_t child = fork();
        if (child == 0) {
            write_of(path, 3);
            _exit(0);
        }
        CU_ASSERT_FATAL(child > 0);
        wait_for_change(shard);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        g_autoptr(moe_routing_file) file = moe_routing_open(index, diag, NULL);
        unsigned odd = 0;
        for (uint32_t t = 0; file && t < KILLED; t++)
            odd += moe_routing_id(moe_routing_get(file), t, 1, 0) == 3;
        MOE_CHECK(odd == 0 || odd == KILLED, "try %u: %u tokens of one trace", i, odd);
        MOE_CHECK(moe_diag_errors(diag) == 0, "try %u: shards of two traces, told late", i);
    }
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *left = g_build_filename(folder, name, NULL);
        if (g_file_test(left, G_FILE_TEST_IS_DIR)) {
            folder_empty(left);
            g_rmdir(left);
        }
    }
    folder_free(folder);
}

/* A trace takes the place of an older one, whatever the shards of both. */
static void
no_stale_files(void)
{
    static const struct {
        uint64_t shard_bytes;
        unsigned files;
    } cases[] = {{115, 3}, {1, 7}, {1000000, 1}, {115, 3}, {1000000, 1}};
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t n, files = 0;
        CU_ASSERT_TRUE(
            moe_routing_builder_write_shards(made(6), path, cases[i].shard_bytes, &n, NULL));
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        while (g_dir_read_name(dir))
            files++;
        MOE_CHECK(files == cases[i].files, "case %zu: %u files", i, files);
    }
    folder_free(folder);
}

MOE_TESTS({"same as one file", same_as_one_file}, {"refuses", refuses}, {"hashed", hashed},
          {"nothing left", nothing_left}, {"older stays", older_stays}, {"killed", killed},
          {"no stale files", no_stale_files})
