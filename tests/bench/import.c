/* How fast routing comes in: CSV text (packed and plain), JSON lines, the write, and opening with
 * its checks, each beside the bare loop over the same bytes. Argument: a CSV file; without one the
 * text is made up (200,000 tokens x 24 layers x 4 of 32). */
#include "sim/base/random.h"
#include "tests/import.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double
seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static GString *
made_text(void)
{
    GString *text = g_string_sized_new(120u << 20);
    moe_stream stream = moe_stream_new(1, "bench", 0);
    g_string_append(text, "seq,pos,layer,experts\n");
    for (uint32_t token = 0; token < 200000; token++) {
        for (uint32_t layer = 0; layer < 24; layer++) {
            uint64_t draw = moe_stream_next(&stream);
            char line[64];
            int n = snprintf(line, sizeof line, "%u,%u,%u,%u %u %u %u\n", token / 256, token % 256,
                             layer, (unsigned)(draw & 7), (unsigned)(8 + (draw >> 8 & 7)),
                             (unsigned)(16 + (draw >> 16 & 7)), (unsigned)(24 + (draw >> 24 & 7)));
            g_string_append_len(text, line, n);
        }
    }
    return text;
}

/* The same as records of 50,000 tokens with weights. */
static GString *
made_records(void)
{
    GString *text = g_string_sized_new(200u << 20);
    moe_stream stream = moe_stream_new(1, "bench", 0);
    for (uint32_t token = 0; token < 50000; token++) {
        for (uint32_t layer = 0; layer < 24; layer++) {
            uint64_t draw = moe_stream_next(&stream);
            char line[200];
            int n = snprintf(line, sizeof line,
                             "{\"type\":\"route\",\"req_id\":%u,\"token_idx\":%u,\"layer\":%u,"
                             "\"topk_ids\":[%u,%u,%u,%u],\"topk_weights\":[0.52734,0.25,0.%05u,"
                             "0.0625]}\n",
                             token / 256, token % 256, layer, (unsigned)(draw & 7),
                             (unsigned)(8 + (draw >> 8 & 7)), (unsigned)(16 + (draw >> 16 & 7)),
                             (unsigned)(24 + (draw >> 24 & 7)), (unsigned)(draw >> 40 & 0x1FFF));
            g_string_append_len(text, line, n);
        }
    }
    return text;
}

/* The whole unpacked text; prints how long unpacking alone takes. */
static GString *
unpacked_text(const char *path)
{
    g_autoptr(GError) error = NULL;
    moe_text_source *source = moe_text_source_open(path, &error);
    if (!source)
        return NULL;
    GString *text = g_string_sized_new(128u << 20);
    char *block = g_malloc(1u << 20);
    const char *damage;
    size_t n;
    double start = seconds(), bare = 0;
    while (moe_text_source_read(source, block, 1u << 20, &n, &damage, &error) && n) {
        double pause = seconds();
        g_string_append_len(text, block, (gssize)n);
        bare += seconds() - pause;
    }
    printf("%-28s %7.3f s\n", "unpacking alone", seconds() - start - bare);
    g_free(block);
    moe_text_source_close(source);
    return text;
}

static double
bare_lines(const GString *text)
{
    double start = seconds();
    size_t lines = 0;
    for (const char *at = text->str, *end = at + text->len; at < end; lines++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        at = next ? next + 1 : end;
    }
    double took = seconds() - start;
    printf("%-28s %7.3f s  %7.0f MB/s  (%zu lines)\n", "bare loop over lines", took,
           (double)text->len / took * 1e-6, lines);
    return took;
}

static moe_routing_builder *
timed_import(const moe_importer *importer, const GString *text, moe_diag *diag, GError **error)
{
    moe_import_options options = {0};
    double start = seconds();
    moe_routing_builder *builder =
        import_memory(importer, "text", text->str, text->len, &options, diag, NULL, error);
    double took = seconds() - start;
    g_autofree char *what = g_strdup_printf("%s from memory", importer->name);
    printf("%-28s %7.3f s  %7.0f MB/s\n", what, took, (double)text->len / took * 1e-6);
    return builder;
}

static int
fail(const moe_diag *diag, const GError *error)
{
    g_autofree char *text = moe_diag_render(diag);
    printf("%s%s\n", text, error ? error->message : "");
    return 1;
}

/* 10^7 token-layers appended one token at a time, beside copying the same ids. */
static void
build(void)
{
    enum { LAYERS = 25, K = 4, TOKENS = 400000 };
    uint16_t ids[LAYERS * K];
    for (uint16_t i = 0; i < LAYERS * K; i++)
        ids[i] = i % 32;
    uint8_t *copy = g_malloc((size_t)TOKENS * LAYERS * K);
    double start = seconds();
    for (size_t token = 0; token < TOKENS; token++)
        for (size_t i = 0; i < LAYERS * K; i++)
            copy[token * LAYERS * K + i] = (uint8_t)ids[i];
    double bare = seconds() - start;
    start = seconds();
    moe_routing_builder *builder = moe_routing_builder_new(LAYERS, 32, K);
    for (uint32_t token = 0; token < TOKENS; token++)
        moe_routing_builder_add(builder, 0, token, MOE_DECODE, ids, NULL);
    double took = seconds() - start;
    printf("%-28s %7.3f s  %7.2f ns per token-layer\n", "building 10^7 token-layers", took,
           took * 100);
    printf("%-28s %7.3f s  %7.2f ns per token-layer  (last id %u)\n", "bare loop of copies", bare,
           bare * 100, copy[(size_t)TOKENS * LAYERS * K - 1]);
    g_free(copy);
    moe_routing_builder_free(builder);
}

int
main(int argc, char **argv)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    GString *text = argc > 1 ? unpacked_text(argv[1]) : made_text();
    if (!text)
        return 1;
    bare_lines(text);

    moe_routing_builder *builder = timed_import(&moe_importer_csv, text, diag, &error);
    if (!builder)
        return fail(diag, error);
    double start, took;
    if (argc > 1) {
        moe_routing_builder_free(builder);
        start = seconds();
        builder = import_file(&moe_importer_csv, argv[1], diag, &error);
        if (!builder)
            return fail(diag, error);
        printf("%-28s %7.3f s\n", "import from the file", seconds() - start);
    }

    g_autofree char *path =
        g_strdup_printf("%s/moesim-bench-%d.safetensors", g_get_tmp_dir(), (int)getpid());
    start = seconds();
    if (!moe_routing_builder_write(builder, path, &error))
        return fail(diag, error);
    printf("%-28s %7.3f s\n", "check, write, sync", seconds() - start);
    start = seconds();
    g_autoptr(moe_routing_file) file = moe_routing_open(path, diag, &error);
    took = seconds() - start;
    unlink(path);
    if (!file)
        return fail(diag, error);
    const moe_routing *r = moe_routing_get(file);
    double ids = (double)r->n_tokens * r->n_layers * r->k;
    printf("%-28s %7.3f s  %7.2f ns per id\n", "open with all checks", took, took * 1e9 / ids);
    start = seconds();
    uint64_t sum = 0;
    for (size_t i = 0; i < (size_t)ids; i++)
        sum += r->id_bytes == 1 ? ((const uint8_t *)r->ids)[i] : ((const uint16_t *)r->ids)[i];
    took = seconds() - start;
    printf("%-28s %7.3f s  %7.2f ns per id  (sum %llu)\n", "bare loop over ids", took,
           took * 1e9 / ids, (unsigned long long)sum);
    g_string_free(text, TRUE);
    build();
    text = made_records();
    bare_lines(text);
    moe_routing_builder_free(timed_import(&moe_importer_jsonl, text, diag, &error));
    g_string_free(text, TRUE);
    return 0;
}
