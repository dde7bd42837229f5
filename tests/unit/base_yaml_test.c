#include "sim/base/error.h"
#include "sim/base/yaml.h"
#include "tests/test.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first line that rendering the errors of `text` gives; yours. */
static char *
first_error(const char *text, size_t length)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("f", text, length, diag);
    g_autofree char *rendered = moe_diag_render(diag);
    if (doc)
        return g_strdup(*rendered ? "both a document and errors" : "no error");
    return g_strndup(rendered, strcspn(rendered, "\n"));
}

static void
reads_a_tree(void)
{
    const char *text = "name: mixtral on one 4090   # a comment\n"
                       "experts:\n"
                       "  cache: {capacity: 25%, evict: \"lru\"}\n"
                       "  list: [1, two]\n"
                       "note: |\n"
                       "  two\n"
                       "  lines\n"
                       "empty:\n"
                       "\xc3\xa9t\xc3\xa9: \xc3\xa9\xc3\xa9\n";
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("f", text, strlen(text), diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const moe_yaml *root = moe_yaml_root(doc);
    CU_ASSERT(root->kind == MOE_YAML_MAP && root->n == 5);
    const moe_yaml *name = moe_yaml_get(root, "name");
    CU_ASSERT_STRING_EQUAL(name->text, "mixtral on one 4090");
    CU_ASSERT(name->loc.line == 1 && name->loc.column == 7 && name->loc.length == 19);
    const moe_yaml *cache = moe_yaml_get(moe_yaml_get(root, "experts"), "cache");
    const moe_yaml *evict = moe_yaml_get(cache, "evict");
    CU_ASSERT(evict->quoted && evict->loc.line == 3 && evict->loc.column == 33);
    CU_ASSERT_EQUAL(evict->loc.length, 5);
    CU_ASSERT(!moe_yaml_get(cache, "capacity")->quoted);
    const moe_yaml *list = moe_yaml_get(moe_yaml_get(root, "experts"), "list");
    CU_ASSERT(list->kind == MOE_YAML_LIST && list->n == 2);
    CU_ASSERT_STRING_EQUAL(list->items[1].text, "two");
    CU_ASSERT_STRING_EQUAL(moe_yaml_get(root, "note")->text, "two\nlines\n");
    CU_ASSERT_EQUAL(moe_yaml_get(root, "note")->loc.length, 1);
    const moe_yaml *empty = moe_yaml_get(root, "empty");
    CU_ASSERT(empty->kind == MOE_YAML_SCALAR && !*empty->text && !empty->quoted);
    const moe_yaml *accent = moe_yaml_get(root, "\xc3\xa9t\xc3\xa9");
    CU_ASSERT(accent->loc.line == 9 && accent->loc.column == 6 && accent->loc.length == 2);
    CU_ASSERT_PTR_NULL(moe_yaml_get(root, "absent"));
    CU_ASSERT_PTR_NULL(moe_yaml_get(list, "absent"));
    CU_ASSERT_STRING_EQUAL(root->keys[1].text, "experts");
}

#define T(text) text, sizeof text - 1

static void
closes_traps(void)
{
    static const struct {
        const char *text;
        size_t length;
        const char *error;
    } cases[] = {
        {T("a: 1\nb: 2\na: 3\n"),
         "f:3:1: error: duplicate key 'a'; first written at line 1, column 1"},
        {T("{a: 1, 'a': 2}"), "f:1:8: error: duplicate key 'a'; first written at line 1, column 2"},
        {T("a: &x 1\n"), "f:1:4: error: anchors ('&x') are not allowed"},
        {T("a: &x {b: 1}\n"), "f:1:4: error: anchors ('&x') are not allowed"},
        {T("a: *x\n"), "f:1:4: error: aliases ('*x') are not allowed"},
        {T("a: &x [*x]\n"), "f:1:4: error: anchors ('&x') are not allowed"},
        {T("a: !!int 8\n"), "f:1:4: error: tags ('tag:yaml.org,2002:int') are not allowed"},
        {T("a: !foo [1]\n"), "f:1:4: error: tags ('!foo') are not allowed"},
        {T("%TAG ! tag:x,1:\n---\na: 1\n"), "f:1:1: error: %TAG directives are not allowed"},
        {T("<<: {a: 1}\n"), "f:1:1: error: merge keys ('<<') are not allowed"},
        {T("a: 1\n---\nb: 2\n"), "f:2:1: error: a second document begins here; only one is read"},
        {T("{a: 1}: 2\n"), "f:1:1: error: a key must be a name, not a map"},
        {T("? [1, 2]\n: 3\n"), "f:1:3: error: a key must be a name, not a list"},
        {T("\"\": 3\n"), "f:1:1: error: a key must not be empty"},
        {T(""), "f: error: the file is empty"},
        {T("# only a comment\n"), "f: error: the file is empty"},
        {T("---\n"), "f: error: the file is empty"},
        {T("---\n...\n"), "f: error: the file is empty"},
        {T("a: 1\nb\0: 2\n"), "f:2:2: error: a NUL byte; this is not a text file"},
        {T("a: \"x\\0y\"\n"), "f:1:4: error: a text must not hold a NUL character"},
        {T("\xc3\xa9: 1\nb: \xff\n"), "f:2:4: error: byte 0xFF is not UTF-8 (offset 9)"},
        {T("a: \xc3"), "f:1:4: error: byte 0xC3 is not UTF-8 (offset 3)"},
        {T("a: \xed\xa0\x80\n"), "f:1:4: error: byte 0xED is not UTF-8 (offset 3)"},
        {T("\xff\xfe"
           "a\0"),
         "f: error: UTF-16; save the file as UTF-8"},
        {T("a: x\x1b[1m\n"), "f:1:5: error: a control character U+001B"},
        {T("a: x\xc2\x85y\n"), "f:1:5: error: a line separator U+0085; end lines with LF"},
        {T("a: x\xe2\x80\xa8y\n"), "f:1:5: error: a line separator U+2028; end lines with LF"},
        {T("a: [1, 2\n"), "f:2:1: error: not YAML: did not find expected ',' or ']' (while parsing "
                          "a flow sequence from line 1 on)"},
        {T("a: 1\n  b: 2\n"),
         "f:2:4: error: not YAML: mapping values are not allowed in this context; a value that "
         "holds ': ' needs quotes, and keys of one map the same indent"},
        {T("a:\n\t- 1\n"),
         "f:2:1: error: not YAML: found character that cannot start any token (while scanning for "
         "the next token); indent with spaces, and quote values that begin with @, ` or %"},
        {T("a: 'x\n"), "f:2:1: error: not YAML: found unexpected end of stream (while scanning a "
                       "quoted scalar from line 1 on)"},
        {T("a: 1\n]\n"), NULL},
        {T("a: @x\n"), NULL},
        {T("%YAML 3.0\n---\na: 1\n"), NULL},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *error = first_error(cases[i].text, cases[i].length);
        if (cases[i].error)
            MOE_CHECK(strcmp(error, cases[i].error) == 0, "%zu: got\n%s\nwant\n%s", i, error,
                      cases[i].error);
        else
            MOE_CHECK(g_str_has_prefix(error, "f:"), "%zu: got %s", i, error);
    }
}

static void
accepts_what_is_plain(void)
{
    static const char *const cases[] = {
        "a: 1",
        "%YAML 1.2\n---\na: 1\n...\n",
        ("\xef\xbb\xbf"
         "a: 1\n"),
        "a: 1\r\nb: 2\r\n",
        "a: \"<<\"\n\"<<\": 1\n",
        "- 1\n- 2\n",
        "just text",
        "\"\"",
        "a: {}\nb: []\n",
        "? a\n: 1\n",
        "a: [1, 2,]\n",
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *error = first_error(cases[i], strlen(cases[i]));
        MOE_CHECK(strcmp(error, "no error") == 0, "%zu: %s", i, error);
    }
}

static void
counts_lines_and_columns_as_editors_do(void)
{
    const char *text = "\xef\xbb\xbf"
                       "a: 1\r\nb: {c: 1, c: 2}\r\n";
    g_autofree char *error = first_error(text, strlen(text));
    CU_ASSERT_STRING_EQUAL(error, "f:2:11: error: duplicate key 'c'; first written at line 2, "
                                  "column 5");
}

/* The same letter n times on one line, or once per line deeper and deeper. */
static void
survives_nesting(void)
{
    static const int depths[] = {31, 32, 33, 1000, 1025, 100000, 1000000};
    static const char *const opens[] = {"[", "{a: ", "- ", "? "};
    for (size_t i = 0; i < MOE_COUNT(depths); i++) {
        for (size_t j = 0; j < MOE_COUNT(opens); j++) {
            GString *text = g_string_new(NULL);
            for (int k = 0; k < depths[i] && text->len < 1000000; k++)
                g_string_append(text, opens[j]);
            bool deep = depths[i] > 32;
            if (!deep && j > 1)
                g_string_append(text, "x");
            for (int k = 0; k < depths[i] && !deep && j < 2; k++)
                g_string_append(text, j ? "}" : "]");
            g_autofree char *error = first_error(text->str, text->len);
            const char *want = deep     ? "nested deeper than 32 levels"
                               : j == 3 ? "a key must be a name, not a map"
                                        : "no error";
            MOE_CHECK(strstr(error, want), "depth %d of '%s': %s", depths[i], opens[j], error);
            g_string_free(text, TRUE);
        }
    }
}

static void
refuses_large_texts(void)
{
    g_autofree char *text = g_strnfill((1 << 20) + 1, '#');
    g_autofree char *error = first_error(text, (1 << 20) + 1);
    CU_ASSERT_STRING_EQUAL(error, "f: error: 1048577 bytes; at most 1 MiB is read");
    g_autofree char *empty = first_error(text, 1 << 20);
    CU_ASSERT_STRING_EQUAL(empty, "f: error: the file is empty");
}

static void
reports_several_errors(void)
{
    const char *text = "a: &x 1\nb: *x\na: 2\n";
    g_autoptr(moe_diag) diag = moe_diag_new();
    CU_ASSERT_PTR_NULL(moe_yaml_parse("f", text, strlen(text), diag));
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 3);
}

static void
check_load(const char *path, const char *want_diag, const char *want_error)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_yaml_doc) doc = moe_yaml_load(path, diag, &error);
    g_autofree char *text = moe_diag_render(diag);
    g_autofree char *said = g_strndup(text, strcspn(text, "\n"));
    CU_ASSERT_PTR_NULL(doc);
    MOE_CHECK(g_str_has_suffix(said, want_diag), "got '%s', want '%s'", said, want_diag);
    MOE_CHECK(g_str_has_suffix(error ? error->message : "", want_error), "got '%s', want '%s'",
              error ? error->message : "", want_error);
    MOE_CHECK(!error || (error->domain == MOE_ERROR && g_str_has_prefix(error->message, path)),
              "error of '%s'", path);
}

static void
loads_files(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-yaml-XXXXXX", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(folder);
    g_autofree char *path = g_build_filename(folder, "f.yaml", NULL);
    CU_ASSERT(g_file_set_contents(path, "a: 1\n", -1, NULL));
    {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(moe_yaml_doc) doc = moe_yaml_load(path, diag, &error);
        CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
        CU_ASSERT_STRING_EQUAL(moe_yaml_root(doc)->loc.file, path);
    }
    /* A sparse file of 1 GiB is refused by its size. */
    CU_ASSERT_EQUAL(truncate(path, 1 << 30), 0);
    check_load(path, "error: 1073741824 bytes; at most 1 MiB is read", "");
    CU_ASSERT(g_file_set_contents(path, "a: [\n", -1, NULL));
    check_load(path, "(while parsing a flow node)", "");
    check_load(folder, "", ": is a folder");
    g_unlink(path);
    check_load(path, "", ": cannot open: No such file or directory");
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    check_load(path, "", ": not a regular file");
    g_unlink(path);
    check_load("/dev/null", "", ": not a regular file");
    g_rmdir(folder);
}

MOE_TESTS({"a tree with places", reads_a_tree}, {"traps", closes_traps},
          {"plain documents", accepts_what_is_plain},
          {"lines and columns", counts_lines_and_columns_as_editors_do},
          {"nesting", survives_nesting}, {"large texts", refuses_large_texts},
          {"several errors", reports_several_errors}, {"files", loads_files})
