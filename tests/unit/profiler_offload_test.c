/* Reading experts from files, and what goes wrong with them while a run is under way. */
#include "profiler/offload_read.h"
#include "tests/property/offload_fixture.h"

#include <unistd.h>

/* Bytes of every alignment and length, over the ends of pieces. */
static void
reads(void)
{
    enum { SIZE = (1 << 20) + 12345 };
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "bytes", NULL);
    g_autofree uint8_t *bytes = g_new(uint8_t, SIZE), *got = g_new(uint8_t, 2 * SIZE);
    moe_stream stream = moe_stream_new(1, "test.reads", 0);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)moe_stream_below(&stream, 256);
    g_file_set_contents(path, (const char *)bytes, SIZE, NULL);
    const moe_span spans[][2] = {
        {{path, 0, SIZE}, {path, 0, 1}},
        {{path, 1, 4095}, {path, 4095, 2}},
        {{path, 4096, 4096}, {path, 4097, 1}},
        {{path, 77, 1 << 20}, {path, SIZE - 1, 1}},
        {{path, SIZE - 5000, 5000}, {path, 8191, 8193}},
    };
    moe_reader *reader = moe_reader_new();
    for (size_t i = 0; i < MOE_COUNT(spans); i++) {
        g_autoptr(GError) error = NULL;
        MOE_CHECK(moe_reader_read(reader, spans[i], 2, got, &error), "%zu: %s", i, error->message);
        MOE_CHECK(
            !memcmp(got, bytes + spans[i][0].offset, spans[i][0].bytes) &&
                !memcmp(got + spans[i][0].bytes, bytes + spans[i][1].offset, spans[i][1].bytes),
            "%zu: other bytes", i);
    }
    moe_reader_free(reader);
    g_unlink(path);
    g_rmdir(folder);
}

static void
refusals(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "short", NULL);
    g_autofree char *gone = g_build_filename(folder, "gone", NULL);
    g_file_set_contents(path, "0123456789", 10, NULL);
    const struct {
        moe_span span;
        const char *message;
    } faults[] = {
        {{gone, 0, 4}, "gone: an expert cannot be read: No such file or directory"},
        {{folder, 0, 4}, "an expert cannot be read: Is a directory"},
        {{path, 8, 4},
         "short: ends at byte 10, but an expert has bytes up to 12: it was cut "
         "short while it was in use"},
        {{path, 5000, 4}, "an expert has bytes up to 5004"},
    };
    for (size_t i = 0; i < MOE_COUNT(faults); i++) {
        g_autoptr(GError) error = NULL;
        char got[4];
        moe_reader *reader = moe_reader_new();
        MOE_CHECK(!moe_reader_read(reader, &faults[i].span, 1, got, &error) &&
                      strstr(error->message, faults[i].message),
                  "%zu: %s", i, error ? error->message : "it was read");
        moe_reader_free(reader);
    }
    g_unlink(path);
    g_rmdir(folder);
}

/* The file of the experts is cut before they are read. */
static void
cut_short(void)
{
    static const offload_script script = {{6, 0, 0}, {0, 99, 99}, {4, 0, 0}};
    static const char *const caches[] = {
        "{capacity: 2 slots}",
        "{capacity: 50%, prefetch: whole-next-layer}",
    };
    for (size_t i = 0; i < MOE_COUNT(caches); i++) {
        offload_model model = offload_model_new(4);
        g_autofree char *path = g_build_filename(model.folder, "experts.safetensors", NULL);
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GError) error = NULL;
        moe_yaml_doc *doc;
        GStatBuf info;
        g_autoptr(moe_settings) cache = offload_cache(caches[i], &doc);
        const moe_offload_config config = {.cache = cache};
        moe_offload *offload = moe_offload_new(model.weights, &config, (moe_loc){0}, diag, &error);
        CU_ASSERT_FATAL(offload != NULL);
        g_stat(path, &info);
        CU_ASSERT_EQUAL_FATAL(truncate(path, info.st_size / 2), 0);
        MOE_CHECK(!offload_play(&model, &script, offload, NULL, &error) &&
                      strstr(error->message, "experts.safetensors: ends at byte"),
                  "%s: %s", caches[i], error ? error->message : "no error");
        moe_offload_free(offload);
        moe_yaml_free(doc);
        offload_model_clear(&model);
    }
}

/* Another file of the same length in place of the experts', full of NaNs. */
static void
replace_experts(const offload_model *model)
{
    g_autofree char *path = g_build_filename(model->folder, "experts.safetensors", NULL);
    g_autofree char *other = g_build_filename(model->folder, "other", NULL);
    g_autofree char *bytes = NULL;
    gsize n = 0;
    CU_ASSERT_FATAL(g_file_get_contents(path, &bytes, &n, NULL));
    memset(bytes + n / 2, 0xFF, n - n / 2);
    CU_ASSERT_FATAL(g_file_set_contents(other, bytes, (gssize)n, NULL));
    CU_ASSERT_EQUAL_FATAL(g_rename(other, path), 0);
}

static const offload_script replaced_script = {{6, 0, 0}, {0, 99, 99}, {4, 0, 0}};

/* Which experts a run asks for. */
static offload_recorder *
experts_of(const offload_model *model, moe_offload *offload)
{
    offload_recorder *recorder = g_new0(offload_recorder, 1);
    g_autoptr(GError) error = NULL;
    recorder->builder = moe_routing_builder_new(OFFLOAD_LAYERS, OFFLOAD_EXPERTS, OFFLOAD_TOP_K);
    moe_routing_builder_lookahead(recorder->builder, 1, OFFLOAD_TOP_K);
    bool played = offload_play(model, &replaced_script, offload, recorder, &error);
    MOE_CHECK(played, "%s", error->message);
    moe_routing_builder_free(g_steal_pointer(&recorder->builder));
    return recorder;
}

/* Before a run starts that is an error; later it does not matter, as for what is mapped. */
static void
replaced(void)
{
    for (int late = 0; late < 2; late++) {
        offload_model model = offload_model_new(4);
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GError) error = NULL;
        moe_yaml_doc *doc;
        g_autoptr(moe_settings) cache =
            offload_cache("{capacity: 50%, prefetch: whole-next-layer}", &doc);
        const moe_offload_config config = {.cache = cache};
        if (!late)
            replace_experts(&model);
        g_autoptr(moe_offload) offload =
            moe_offload_new(model.weights, &config, (moe_loc){0}, diag, &error);
        if (late && offload) {
            replace_experts(&model);
            g_autofree offload_recorder *run = experts_of(&model, offload);
            g_autofree offload_recorder *mapped = experts_of(&model, NULL);
            MOE_CHECK(!memcmp(run->ids, mapped->ids, sizeof run->ids), "other experts");
        }
        MOE_CHECK(!offload == !late, "%d: %s", late, error ? error->message : "it was opened");
        MOE_CHECK(late || (error && strstr(error->message, "experts.safetensors: is another file")),
                  "%s", error ? error->message : "no error");
        g_clear_pointer(&offload, moe_offload_free);
        moe_yaml_free(doc);
        offload_model_clear(&model);
    }
}

MOE_TESTS({"reads", reads}, {"refusals", refusals}, {"cut short", cut_short},
          {"replaced", replaced})
