#include "profiler/rawread.h"

#include "tests/rawlog.h"
#include "tests/test.h"

static GByteArray *
small(void)
{
    rawlog_config config = {.pid = 7, .layers = 1, .steps = 1, .kernels = 1, .hello = "rank=3\n"};
    return rawlog_of(&config);
}

/* A copy at an aligned place, of exactly n bytes. */
static moe_raw_file *
open_bytes(const GByteArray *log, size_t n, void **copy)
{
    *copy = g_memdup2(log->data, n);
    return moe_rawread_open_memory(*copy, n);
}

static void
reads_a_whole_log(void)
{
    g_autoptr(GByteArray) log = small();
    g_autoptr(moe_raw_file) file = moe_rawread_open_memory(log->data, log->len);
    size_t n, length;
    uint64_t unread;
    const moe_raw_chunk *chunks = moe_rawread_chunks(file, &n);
    MOE_CHECK(moe_rawread_end(file, &unread) == MOE_RAW_WHOLE && unread == 0, "%u, %llu",
              moe_rawread_end(file, NULL), (unsigned long long)unread);
    MOE_CHECK(n == 9 && chunks[0].type == MOE_RAW_HELLO && chunks[n - 1].type == MOE_RAW_CLOSE,
              "%zu chunks", n);
    CU_ASSERT_STRING_EQUAL(moe_rawread_hello(file, "rank"), "3");
    CU_ASSERT_STRING_EQUAL(moe_rawread_hello(file, "argv"), "python\x1fserve.py");
    CU_ASSERT_PTR_NULL(moe_rawread_hello(file, "model"));
    const char *text = moe_rawread_text(file, RAWLOG_KERNEL_NAME, &length);
    MOE_CHECK(length == 18 && !memcmp(text, "moe_grouped_kernel", 18), "%zu bytes", length);
    CU_ASSERT_PTR_NULL(moe_rawread_text(file, 0, &length));
    CU_ASSERT_PTR_NULL(moe_rawread_text(file, 1000, &length));
    CU_ASSERT_EQUAL(moe_rawread_odd(file), 0);
}

/* What stands before the cut is as before; the end is between two chunks, or a cut. */
static void
reads_what_stands_before_a_cut(void)
{
    g_autoptr(GByteArray) log = small();
    size_t whole, n, last = 0, boundaries = 0;
    g_autoptr(moe_raw_file) all = moe_rawread_open_memory(log->data, log->len);
    moe_rawread_chunks(all, &whole);
    for (size_t cut = 0; cut <= log->len; cut++) {
        void *copy;
        uint64_t unread;
        moe_raw_file *file = open_bytes(log, cut, &copy);
        moe_rawread_chunks(file, &n);
        moe_raw_ending end = moe_rawread_end(file, &unread);
        MOE_CHECK(n >= last && n <= last + 1, "cut at %zu: %zu chunks after %zu", cut, n, last);
        MOE_CHECK(end == MOE_RAW_WHOLE ? unread == 0 : end == MOE_RAW_CUT && unread <= cut,
                  "cut at %zu: ends as %u, %llu unread", cut, end, (unsigned long long)unread);
        boundaries += end == MOE_RAW_WHOLE;
        last = n;
        moe_rawread_close(file);
        g_free(copy);
    }
    MOE_CHECK(last == whole && boundaries >= whole, "%zu of %zu chunks, %zu whole", last, whole,
              boundaries);
}

/* Any byte of a chunk that is changed costs that chunk, and none behind it. */
static void
finds_damage(void)
{
    g_autoptr(GByteArray) log = small();
    size_t whole, n, damaged = 0;
    g_autoptr(moe_raw_file) all = moe_rawread_open_memory(log->data, log->len);
    moe_rawread_chunks(all, &whole);
    for (size_t at = 8; at < log->len; at++) {
        void *copy;
        moe_raw_file *file = open_bytes(log, log->len, &copy);
        moe_rawread_close(file);
        ((uint8_t *)copy)[at] ^= 0x40;
        file = moe_rawread_open_memory(copy, log->len);
        moe_rawread_chunks(file, &n);
        moe_raw_ending end = moe_rawread_end(file, NULL);
        /* kinds of chunks and padding are not summed: a chunk of another kind is passed over */
        MOE_CHECK(end == MOE_RAW_WHOLE ? n == whole : n == whole - 1,
                  "byte %zu: %zu chunks, ends as %u", at, n, end);
        damaged += end == MOE_RAW_DAMAGED;
        moe_rawread_close(file);
        g_free(copy);
    }
    MOE_CHECK(damaged > log->len * 8 / 10, "%zu of %u found", damaged, log->len);
}

static void
refuses_other_files(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        moe_raw_ending end;
    } cases[] = {
        {"", 0, MOE_RAW_CUT},
        {"MOERAW", 6, MOE_RAW_CUT},
        {"MOERAW1\n", 8, MOE_RAW_WHOLE},
        {"MOERAW2\n", 8, MOE_RAW_FOREIGN},
        {"SQLite format 3", 15, MOE_RAW_FOREIGN},
        {"MOERAW1\nMCHK\1\0\0\0\xff\xff\xff\xff\0\0\0\0", 24, MOE_RAW_DAMAGED},
        {"MOERAW1\nMCHK\1\0\0\0\0\0\0\4\0\0\0\0", 24, MOE_RAW_CUT},
        {"MOERAW1\nMCHKMCHKMCHKMCHK", 24, MOE_RAW_DAMAGED},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        void *copy = g_memdup2(cases[i].bytes, cases[i].n);
        moe_raw_file *file = moe_rawread_open_memory(copy, cases[i].n);
        MOE_CHECK(moe_rawread_end(file, NULL) == cases[i].end, "case %zu: %u, wanted %u", i,
                  moe_rawread_end(file, NULL), cases[i].end);
        moe_rawread_close(file);
        g_free(copy);
    }
}

static void
counts_odd_texts(void)
{
    static const struct {
        moe_raw_string head;
        uint64_t odd;
    } cases[] = {
        {{1, 8}, 0},          {{0, 8}, 1}, /* 0 is "no text" */
        {{9, 8}, 1},                       /* there already, see below */
        {{1, 9}, 1},                       /* longer than the chunk */
        {{1, UINT32_MAX}, 1},              /* much longer */
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        struct {
            moe_raw_string first;
            char name[8];
            moe_raw_string head;
            char text[8];
        } payload = {{9, 4}, "nine", cases[i].head, "12345678"};
        g_autoptr(GByteArray) log = rawlog_new();
        size_t n;
        rawlog_chunk(log, MOE_RAW_STRINGS, &payload, sizeof payload);
        g_autoptr(moe_raw_file) file = moe_rawread_open_memory(log->data, log->len);
        MOE_CHECK(moe_rawread_odd(file) == cases[i].odd, "case %zu: %llu odd", i,
                  (unsigned long long)moe_rawread_odd(file));
        const char *nine = moe_rawread_text(file, 9, &n);
        MOE_CHECK(nine && n == 4 && !memcmp(nine, "nine", 4), "case %zu: the first is lost", i);
    }
}

static void
reads_files(void)
{
    g_autoptr(GByteArray) log = small();
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "1.raw", NULL);
    CU_ASSERT_PTR_NULL(moe_rawread_open(path, &error));
    MOE_CHECK(error && strstr(error->message, "1.raw: cannot be opened"), "%s", error->message);
    g_clear_error(&error);
    CU_ASSERT_PTR_NULL(moe_rawread_open(folder, &error));
    MOE_CHECK(error && strstr(error->message, "is not a regular file"), "%s", error->message);
    g_file_set_contents(path, (const char *)log->data, log->len, NULL);
    g_autoptr(moe_raw_file) file = moe_rawread_open(path, NULL);
    MOE_CHECK(file && moe_rawread_end(file, NULL) == MOE_RAW_WHOLE, "the file is not whole");
    remove(path);
    remove(folder);
}

MOE_TESTS({"reads a whole log", reads_a_whole_log},
          {"reads what stands before a cut", reads_what_stands_before_a_cut},
          {"finds damage", finds_damage}, {"refuses other files", refuses_other_files},
          {"counts odd texts", counts_odd_texts}, {"reads files", reads_files})
