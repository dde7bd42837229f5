/* Texts become ids by the library that the model's makers used: the Python package `tokenizers`. */
#include "profiler/tokens.h"

#include "sim/base/error.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_NO_PACKAGE = 78 }; /* what the script exits with */

static const char text_script[] =
    "import json, sys\n"
    "try:\n"
    "    from tokenizers import Tokenizer\n"
    "except ImportError:\n"
    "    sys.exit(78)\n"
    "try:\n"
    "    tokenizer = Tokenizer.from_file(sys.argv[1])\n"
    "except Exception as problem:\n"
    "    sys.exit('%s: no tokenizer: %s' % (sys.argv[1], problem))\n"
    "for path in sys.argv[2:]:\n"
    "    try:\n"
    "        text = open(path, 'rb').read().decode('utf-8')\n"
    "    except UnicodeDecodeError as problem:\n"
    "        sys.exit('%s: is no UTF-8 text: byte %d' % (path, problem.start))\n"
    "    except OSError as problem:\n"
    "        sys.exit('%s: cannot read: %s' % (path, problem.strerror))\n"
    "    print(json.dumps({'ids': tokenizer.encode(text).ids}))\n";

#define TEXT_ONE_LINE                                                                              \
    "  python3 -c 'import sys, tokenizers; print(*tokenizers.Tokenizer.from_file(sys.argv[1])"     \
    ".encode(open(sys.argv[2]).read()).ids)' %s TEXT > ids.txt"

static const char *
text_python(void)
{
    const char *named = g_getenv("MOE_PYTHON");
    return named && *named ? named : "python3";
}

static void
text_lacks(const char *what, const char *tokenizer, GError **error)
{
    g_set_error(error, moe_error_quark(), MOE_ERROR_PROGRAM,
                "%s: --text needs Python with the package 'tokenizers' (pip install tokenizers; "
                "MOE_PYTHON names another Python). Or make ids where it is, for --tokens "
                "ids.txt:\n" TEXT_ONE_LINE,
                what, tokenizer);
}

/* What the script prints: a line for each text. NULL with `error` set. */
static char *
text_run(const char *tokenizer, const char *const *paths, size_t n, GError **error)
{
    const char *python = text_python();
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    const char *const head[] = {python, "-c", text_script, tokenizer};
    for (size_t i = 0; i < MOE_COUNT(head) + n; i++)
        g_ptr_array_add(
            words,
            (gpointer)(uintptr_t)(i < MOE_COUNT(head) ? head[i] : paths[i - MOE_COUNT(head)]));
    g_ptr_array_add(words, NULL);
    g_autofree char *found = g_find_program_in_path(python), *out = NULL, *said = NULL;
    if (!found) {
        text_lacks(python, tokenizer, error);
        return NULL;
    }
    g_autoptr(GSubprocess) process =
        g_subprocess_newv((const char *const *)words->pdata,
                          G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, error);
    if (!process || !g_subprocess_communicate_utf8(process, NULL, NULL, &out, &said, error))
        return NULL;
    if (g_subprocess_get_successful(process))
        return g_steal_pointer(&out);
    if (g_subprocess_get_if_exited(process) &&
        g_subprocess_get_exit_status(process) == TEXT_NO_PACKAGE)
        text_lacks(python, tokenizer, error);
    else
        g_set_error(error, moe_error_quark(), MOE_ERROR_PROGRAM, "%s",
                    said && *said ? g_strchomp(said) : "the tokenizer's Python was killed");
    return NULL;
}

bool
moe_tokens_read_texts(moe_tokens *tokens, const char *tokenizer, const char *const *paths, size_t n,
                      moe_diag *diag, GError **error)
{
    const char *missing = access(tokenizer, R_OK) == 0 ? NULL : tokenizer;
    for (size_t i = 0; i < n && !missing; i++)
        missing = access(paths[i], R_OK) == 0 ? NULL : paths[i];
    if (missing) {
        moe_error_path(error, MOE_ERROR_FILE, missing, errno,
                       missing == tokenizer ? "--text needs the model's tokenizer" : "cannot read");
        return false;
    }
    g_autofree char *out = text_run(tokenizer, paths, n, error);
    const char *line = out;
    for (size_t i = 0; out && i < n; i++) {
        const char *end = strchr(line, '\n');
        if (!end) {
            moe_error_path(error, MOE_ERROR_PROGRAM, paths[i], 0, "the tokenizer gave no ids");
            return false;
        }
        if (!moe_tokens_read_text(tokens, paths[i], line, (size_t)(end - line) + 1, diag))
            return false;
        moe_tokens_at(tokens, moe_tokens_count(tokens) - 1)->at.line = 0;
        line = end + 1;
    }
    return out != NULL;
}
