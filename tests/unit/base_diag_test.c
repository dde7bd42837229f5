#include "sim/base/diag.h"
#include "tests/test.h"

#define CHECK_RENDER(diag, want)                                                                   \
    do {                                                                                           \
        g_autofree char *got_ = moe_diag_render(diag);                                             \
        MOE_CHECK(strcmp(got_, want) == 0, "got:\n%s\nwant:\n%s", got_, want);                     \
    } while (0)

static void
renders_places(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    CHECK_RENDER(diag, "");
    const char *text = "name: x\nsede: 7\n\tcapacity: lots\n";
    moe_diag_source(diag, "c.yaml", text, strlen(text));
    moe_diag_error(diag, (moe_loc){"c.yaml", 3, 12, 4}, "wrong size");
    moe_diag_error(diag, (moe_loc){"c.yaml", 2, 1, 4}, "unknown key '%s'", "sede");
    moe_diag_warning(diag, (moe_loc){"c.yaml", 2, 0, 0}, "whole line");
    moe_diag_error(diag, (moe_loc){"c.yaml", 0, 0, 0}, "whole file");
    moe_diag_error(diag, (moe_loc){NULL, 0, 0, 0}, "no place");
    moe_diag_error(diag, (moe_loc){"c.yaml", 1, 8, 1}, "behind the end");
    moe_diag_error(diag, (moe_loc){"c.yaml", 99, 1, 1}, "no such line");
    moe_diag_error(diag, (moe_loc){"b.csv", 1042, 17, 0}, "no source");
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 7);
    CU_ASSERT_EQUAL(moe_diag_warnings(diag), 1);
    CHECK_RENDER(diag, "error: no place\n"
                       "b.csv:1042:17: error: no source\n"
                       "c.yaml: error: whole file\n"
                       "c.yaml:1:8: error: behind the end\n"
                       "    name: x\n"
                       "           ^\n"
                       "c.yaml:2: warning: whole line\n"
                       "    sede: 7\n"
                       "c.yaml:2:1: error: unknown key 'sede'\n"
                       "    sede: 7\n"
                       "    ^^^^\n"
                       "c.yaml:3:12: error: wrong size\n"
                       "    \tcapacity: lots\n"
                       "    \t          ^^^^\n"
                       "c.yaml:99:1: error: no such line\n");
}

static void
drops_duplicates_and_the_rest(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    char file[8] = "a";
    for (int line = 25; line > 0; line--) {
        moe_diag_error(diag, (moe_loc){file, line, 1, 0}, "same");
        moe_diag_error(diag, (moe_loc){file, line, 1, 0}, "same");
        moe_diag_warning(diag, (moe_loc){file, line, 1, 0}, "same");
    }
    file[0] = 'z'; /* names are copied */
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 50);
    CU_ASSERT_EQUAL(moe_diag_warnings(diag), 25);
    g_autofree char *text = moe_diag_render(diag);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    CU_ASSERT_EQUAL(g_strv_length(lines), 20 + 20 + 2 + 1);
    CU_ASSERT_STRING_EQUAL(lines[1], "a:1:1: warning: same");
    CU_ASSERT_STRING_EQUAL(lines[0], "a:1:1: error: same");
    CU_ASSERT_STRING_EQUAL(lines[40], "and 5 more");
    CU_ASSERT_STRING_EQUAL(lines[41], "and 5 more warnings");
}

static void
counts_without_end(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    for (int line = 1; line <= 12000; line++)
        moe_diag_error(diag, (moe_loc){"a", line, 0, 0}, "x");
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 12000);
    g_autofree char *text = moe_diag_render(diag);
    CU_ASSERT(g_str_has_suffix(text, "a:20: error: x\nand 11980 more\n"));
}

static void
shows_strange_characters(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    const char *text = "a\x1b[31m\r\n\xff\xfe: \xc3\xa9x\n\xe4\xb8\x93\xe5\xae\xb6: bad\n";
    moe_diag_source(diag, "x", text, strlen(text));
    moe_diag_error(diag, (moe_loc){"x", 1, 2, 1}, "escape \x1b and\nline end");
    moe_diag_error(diag, (moe_loc){"x", 2, 5, 1}, "accent");
    moe_diag_error(diag, (moe_loc){"x", 3, 5, 3}, "wide");
    CHECK_RENDER(diag, "x:1:2: error: escape \xe2\x90\x9b and\xe2\x90\x8aline end\n"
                       "    a\xe2\x90\x9b[31m\n"
                       "     ^\n"
                       "x:2:5: error: accent\n"
                       "    \xef\xbf\xbd\xef\xbf\xbd: \xc3\xa9x\n"
                       "        ^\n"
                       "x:3:5: error: wide\n"
                       "    \xe4\xb8\x93\xe5\xae\xb6: bad\n"
                       "          ^^^\n");
}

static void
shortens_long_lines(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    GString *line = g_string_new(NULL);
    for (int i = 0; i < 300; i++)
        g_string_append_c(line, (char)('a' + i % 26));
    moe_diag_source(diag, "x", line->str, line->len);
    static const int columns[] = {1, 41, 150, 290, 300, 301};
    for (size_t i = 0; i < MOE_COUNT(columns); i++) {
        g_autoptr(moe_diag) one = moe_diag_new();
        moe_diag_source(one, "x", line->str, line->len);
        moe_diag_error(one, (moe_loc){"x", 1, columns[i], 5}, "here");
        g_autofree char *text = moe_diag_render(one);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        size_t caret = strcspn(lines[2], "^");
        char under = caret < strlen(lines[1]) ? lines[1][caret] : 0;
        char want = columns[i] > 300 ? 0 : (char)('a' + (columns[i] - 1) % 26);
        MOE_CHECK(strlen(lines[1]) <= 4 + 96 + 6, "column %d: %zu wide", columns[i],
                  strlen(lines[1]));
        MOE_CHECK(under == want, "column %d: caret under '%c', want '%c'", columns[i], under, want);
    }
    g_string_free(line, TRUE);
}

static void
suggests(void)
{
    static const char *const names[] = {"seed", "lru", "lfu", "capacity", "next-layer", "a"};
    static const struct {
        const char *word, *near;
    } cases[] = {
        {"sede", "seed"},
        {"lur", "lru"},
        {"lxu", "lru"},
        {"capcity", "capacity"},
        {"capasitty", "capacity"},
        {"next_layer", "next-layer"},
        {"nextlayer", "next-layer"},
        {"ab", NULL},
        {"xyz", NULL},
        {"seeding", NULL},
        {"", NULL},
        {"lru", "lru"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const char *near = moe_suggest(cases[i].word, names, MOE_COUNT(names));
        MOE_CHECK(g_strcmp0(near, cases[i].near) == 0, "%zu '%s': '%s', want '%s'", i,
                  cases[i].word, near ? near : "-", cases[i].near ? cases[i].near : "-");
    }
    CU_ASSERT_PTR_NULL(moe_suggest("seed", NULL, 0));
    g_autofree char *endless = g_strnfill(5000, 'x');
    CU_ASSERT_PTR_NULL(moe_suggest(endless, names, MOE_COUNT(names)));
}

MOE_TESTS({"places", renders_places}, {"duplicates, and N more", drops_duplicates_and_the_rest},
          {"many messages", counts_without_end}, {"strange characters", shows_strange_characters},
          {"long lines", shortens_long_lines}, {"suggestions", suggests})
