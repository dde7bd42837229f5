#include "sim/base/data.h"
#include "sim/base/error.h"
#include "sim/base/hash.h"
#include "sim/base/random.h"
#include "tests/test.h"

#include <errno.h>
#include <signal.h>
#include <glib/gstdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void
hashes(void)
{
    /* FIPS 180-4, examples of one block and of none. */
    g_autofree char *abc = moe_sha256_text("abc", 3);
    CU_ASSERT_STRING_EQUAL(abc, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    g_autofree char *empty = moe_sha256_text("", 0);
    CU_ASSERT_STRING_EQUAL(empty,
                           "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    g_autofree char *folder = g_dir_make_tmp("moesim-hash-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "f", NULL);
    g_autoptr(GError) error = NULL;
    g_file_set_contents(path, "abc", 3, NULL);
    g_autofree char *first = moe_sha256_file(path, &error);
    g_autofree char *second = moe_sha256_file(path, &error);
    CU_ASSERT_STRING_EQUAL(first, abc);
    CU_ASSERT_STRING_EQUAL(second, abc);
    g_file_set_contents(path, "abd", 3, NULL); /* another inode of the same size */
    g_autofree char *changed = moe_sha256_file(path, &error);
    CU_ASSERT_STRING_NOT_EQUAL(changed, abc);
    CU_ASSERT_PTR_NULL(error);
    g_unlink(path);
    CU_ASSERT_PTR_NULL(moe_sha256_file(path, &error));
    CU_ASSERT(g_error_matches(error, MOE_ERROR, MOE_ERROR_FILE));
    CU_ASSERT(error &&
              g_str_has_suffix(error->message, "/f: cannot open: No such file or directory"));
    g_clear_error(&error);
    CU_ASSERT_PTR_NULL(moe_sha256_file(folder, &error));
    CU_ASSERT(error && g_str_has_suffix(error->message, ": not a regular file"));
    g_rmdir(folder);
}

static void
words_environment_errors(void)
{
    g_autoptr(GError) error = NULL;
    moe_error_path(&error, MOE_ERROR_DATABASE, "x.db", ENOSPC, "cannot write %d pages", 3);
    CU_ASSERT(g_error_matches(error, MOE_ERROR, MOE_ERROR_DATABASE));
    CU_ASSERT_STRING_EQUAL(error->message, "x.db: cannot write 3 pages: No space left on device");
    g_clear_error(&error);
    moe_error_path(&error, MOE_ERROR_PROGRAM, "gnuplot", 0, "not found");
    CU_ASSERT_STRING_EQUAL(error->message, "gnuplot: not found");
    moe_error_path(NULL, MOE_ERROR_PROGRAM, "gnuplot", 0, "not found");
}

static void
streams(void)
{
    moe_stream a = moe_stream_new(1, "arrival", 7), same = moe_stream_new(1, "arrival", 7);
    moe_stream others[] = {moe_stream_new(2, "arrival", 7), moe_stream_new(1, "arrivaL", 7),
                           moe_stream_new(1, "arrival", 8), moe_stream_new(7, "arrival", 1)};
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t draw = moe_stream_next(&a);
        CU_ASSERT(draw == moe_stream_at(&same, i));
        for (size_t j = 0; j < MOE_COUNT(others); j++)
            CU_ASSERT(draw != moe_stream_at(&others[j], i));
    }
    /* Golden: a changed generator changes every result of every seed. */
    moe_stream golden = moe_stream_new(0, "golden", 0);
    MOE_CHECK(moe_stream_next(&golden) == UINT64_C(0x47310b755b5be2ab), "%llx",
              (unsigned long long)moe_stream_at(&golden, 0));
}

/* Means and counts within five standard errors of a uniform distribution. */
static void
is_uniform(void)
{
    enum { DRAWS = 200000, CELLS = 10 };
    moe_stream stream = moe_stream_new(42, "uniform", 0);
    double sum = 0;
    unsigned cells[CELLS] = {0}, bits[64] = {0};
    for (int i = 0; i < DRAWS; i++) {
        double unit = moe_stream_unit(&stream);
        CU_ASSERT_FATAL(unit >= 0 && unit < 1);
        sum += unit;
        uint64_t below = moe_stream_below(&stream, CELLS), word = moe_stream_next(&stream);
        CU_ASSERT_FATAL(below < CELLS);
        cells[below]++;
        for (int b = 0; b < 64; b++)
            bits[b] += (unsigned)(word >> b & 1);
    }
    double mean = sum / DRAWS;
    MOE_CHECK(mean > 0.5 - 5 * 0.000645 && mean < 0.5 + 5 * 0.000645, "mean %f", mean);
    for (int i = 0; i < CELLS; i++) /* sd = sqrt(200000 * 0.1 * 0.9) = 134 */
        MOE_CHECK(cells[i] > 20000 - 671 && cells[i] < 20000 + 671, "cell %d: %u", i, cells[i]);
    for (int b = 0; b < 64; b++) /* sd = sqrt(200000) / 2 = 224 */
        MOE_CHECK(bits[b] > 100000 - 1120 && bits[b] < 100000 + 1120, "bit %d: %u", b, bits[b]);
}

static void
finds_data(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-data-XXXXXX", NULL);
    g_autofree char *presets = g_build_filename(folder, "base-test", "presets", NULL);
    g_autofree char *one = g_build_filename(presets, "one.yaml", NULL);
    g_autofree char *two = g_build_filename(presets, "two.yaml", NULL);
    g_autofree char *hidden = g_build_filename(presets, ".three.yaml", NULL);
    g_mkdir_with_parents(presets, 0700);
    g_file_set_contents(two, "a: 1\n", -1, NULL);
    g_file_set_contents(one, "a: 1\n", -1, NULL);
    g_file_set_contents(hidden, "a: 1\n", -1, NULL);
    g_setenv("MOESIM_DATA", folder, TRUE);
    g_autofree char *found = moe_data_preset("base-test/presets", "one");
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_STRING_EQUAL(found, one);
    static const char *const absent[] = {"three", "", ".three", "../presets/one", "/etc/passwd"};
    for (size_t i = 0; i < MOE_COUNT(absent); i++)
        MOE_CHECK(!moe_data_preset("base-test/presets", absent[i]), "'%s'", absent[i]);
    g_auto(GStrv) names = moe_data_presets("base-test/presets");
    CU_ASSERT_EQUAL_FATAL(g_strv_length(names), 2);
    CU_ASSERT_STRING_EQUAL(names[0], "one");
    CU_ASSERT_STRING_EQUAL(names[1], "two");
    g_auto(GStrv) none = moe_data_presets("no-such-folder");
    CU_ASSERT_EQUAL(g_strv_length(none), 0);
    g_autofree char *absolute = moe_data_find("/no/such/file", NULL);
    CU_ASSERT_STRING_EQUAL(absolute, "/no/such/file");
    g_autofree char *beside = moe_data_find("one.yaml", presets);
    CU_ASSERT_STRING_EQUAL(beside, one);
    g_autofree char *below = moe_data_find("base-test/presets/two.yaml", presets);
    CU_ASSERT_STRING_EQUAL(below, two);
    CU_ASSERT_PTR_NULL(moe_data_find("no-such-file.yaml", presets));
    g_unsetenv("MOESIM_DATA");
    g_autofree char *shipped = moe_data_find("sim/base/base.h", NULL);
    CU_ASSERT_PTR_NOT_NULL(shipped);
    g_unlink(one);
    g_unlink(two);
    g_unlink(hidden);
    g_rmdir(presets);
    g_autofree char *parent = g_path_get_dirname(presets);
    g_rmdir(parent);
    g_rmdir(folder);
}

static void
describe(const void *context, char *text, size_t size)
{
    g_snprintf(text, size, "at %d ps", *(const int *)context);
}

/* A failed assertion says what it knows, then aborts. */
static void
asserts(void)
{
    int ends[2], status = 0, now = 42;
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        moe_assert_context(describe, &now);
        moe_assert(ends[0] < 0, "slot %u of %u", 3u, 2u);
        _exit(0);
    }
    close(ends[1]);
    char text[512] = "";
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    MOE_CHECK(n > 0 &&
                  g_str_has_suffix(text, ": bug: ends[0] < 0 is false: slot 3 of 2 (at 42 ps)\n"),
              "%s", text);
    moe_assert(ends[1] >= 0, "never shown");
}

MOE_TESTS({"sha-256", hashes}, {"environment errors", words_environment_errors},
          {"streams", streams}, {"uniformity", is_uniform}, {"data files", finds_data},
          {"assertions", asserts})
