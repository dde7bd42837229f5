#include "sim/cli/command.h"

#include "sim/base/diag.h"
#include "sim/base/units.h"
#include "sim/cli/output.h"

#include <string.h>

static const moe_option help_option = {"help", 'h', MOE_OPTION_FLAG, 0, .help = "Show this help."};

/* ---- help ---- */

static void
print_option(const moe_option *option)
{
    g_autoptr(GString) head = g_string_new("  ");
    if (option->letter)
        g_string_append_printf(head, "-%c, ", option->letter);
    else
        g_string_append(head, "    ");
    g_string_append_printf(head, "--%s", option->name);
    if (option->value)
        g_string_append_printf(head, " %s", option->value);
    size_t length = (size_t)g_utf8_strlen(head->str, -1);
    if (length < 27)
        moe_out("%s%*s", head->str, (int)(28 - length), "");
    else
        moe_out("%s\n%28s", head->str, "");
    g_autofree char *text = option->choices
                                ? g_strdup_printf("%s One of %s.", option->help, option->choices)
                                : g_strdup(option->help);
    moe_out_wrapped(text, 28, 28);
}

static void
print_children(const moe_command *const *children)
{
    for (size_t i = 0; children[i]; i++)
        moe_out("  %-10s %s\n", children[i]->name, children[i]->summary);
}

static void
print_usage(const char *head, const moe_command *command, const char *path)
{
    moe_out("%s%s%s%s%s\n", head, path, command->children ? " COMMAND" : " [options]",
            *command->operands ? " " : "", command->operands);
}

void
moe_command_help(const moe_command *command, const char *path)
{
    moe_out("%s\n\n", command->summary);
    print_usage("usage: ", command, path);
    if (command->other)
        print_usage("       ", command->other, path);
    if (command->children) {
        moe_out("\n");
        print_children(command->children);
    }
    moe_out("\n");
    for (size_t i = 0; i < command->n_options; i++)
        print_option(&command->options[i]);
    print_option(&help_option);
    if (command->details)
        moe_out("\n%s", command->details);
    if (command->other) {
        moe_out("\n");
        moe_command_help(command->other, path);
    }
}

/* ---- parsing ---- */

typedef struct parser {
    const moe_command *command;
    const moe_command *sibling; /* the other form of the command, or NULL */
    bool behind;                /* operands stand behind "--" */
    const char *path;
    int argc;
    const char *const *argv;
    int at;
    void *values;
    bool help;
    GPtrArray *operands;
} parser;

static const moe_option *
find_option(const moe_command *command, const char *name, size_t length, char letter)
{
    for (size_t i = 0; i <= command->n_options; i++) {
        const moe_option *option = i < command->n_options ? &command->options[i] : &help_option;
        if (letter ? option->letter == letter
                   : strlen(option->name) == length && !strncmp(option->name, name, length))
            return option;
    }
    return NULL;
}

static bool
unknown_option(const parser *p, const char *word, const char *name, size_t length, char letter)
{
    const moe_option *foreign = p->sibling ? find_option(p->sibling, name, length, letter) : NULL;
    if (foreign) {
        moe_say_usage(p->path, "'--%s' is an option of '%s', not of '%s'", foreign->name,
                      p->sibling->form, p->command->form);
        return false;
    }
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; i < p->command->n_options; i++)
        g_ptr_array_add(names, (gpointer)(uintptr_t)p->command->options[i].name);
    g_autofree char *asked = g_strndup(name, length);
    const char *close = moe_suggest(asked, (const char *const *)names->pdata, names->len);
    if (close)
        moe_say_usage(p->path, "unknown option '%s'; did you mean '--%s'?", word, close);
    else
        moe_say_usage(p->path, "unknown option '%s'", word);
    return false;
}

static bool
set_int(const parser *p, const moe_option *option, const char *text, int64_t *out)
{
    if (moe_parse_int(text, out) && *out >= option->min && *out <= option->max)
        return true;
    if (option->max == INT64_MAX)
        moe_say_usage(p->path, "'--%s' wants a whole number from %lld on, not '%s'", option->name,
                      (long long)option->min, text);
    else
        moe_say_usage(p->path, "'--%s' wants a whole number from %lld to %lld, not '%s'",
                      option->name, (long long)option->min, (long long)option->max, text);
    return false;
}

static bool
set_enum(const parser *p, const moe_option *option, const char *text, int *out)
{
    g_auto(GStrv) choices = g_strsplit(option->choices, "|", -1);
    for (int i = 0; choices[i]; i++)
        if (!strcmp(choices[i], text)) {
            *out = i;
            return true;
        }
    const char *close = moe_suggest(text, (const char *const *)choices, g_strv_length(choices));
    moe_say_usage(p->path, "'--%s' wants %s%s, not '%s'%s%s%s", option->name,
                  choices[1] ? "one of " : "", option->choices, text,
                  close ? "; did you mean '" : "", close ? close : "", close ? "'?" : "");
    return false;
}

static bool
set_value(const parser *p, const moe_option *option, const char *text)
{
    char *field = (char *)p->values + option->offset;
    switch (option->kind) {
    case MOE_OPTION_FLAG:
        *(bool *)(void *)field = true;
        return true;
    case MOE_OPTION_TEXT:
        *(const char **)(void *)field = text;
        return true;
    case MOE_OPTION_INT:
        return set_int(p, option, text, (int64_t *)(void *)field);
    case MOE_OPTION_LIST:
        g_ptr_array_add(*(GPtrArray **)(void *)field, (gpointer)(uintptr_t)text);
        return true;
    case MOE_OPTION_ENUM:
        return set_enum(p, option, text, (int *)(void *)field);
    }
    return false;
}

/* `inside` is a value within the same word, or NULL. */
static bool
take_option(parser *p, const moe_option *option, const char *inside)
{
    if (option == &help_option) {
        p->help = true;
        return true;
    }
    if (option->kind == MOE_OPTION_FLAG) {
        if (!inside)
            return set_value(p, option, NULL);
        moe_say_usage(p->path, "'--%s' takes no value", option->name);
        return false;
    }
    if (!inside && p->at + 1 < p->argc)
        inside = p->argv[++p->at];
    if (inside)
        return set_value(p, option, inside);
    moe_say_usage(p->path, "'--%s' wants a value: %s", option->name, option->value);
    return false;
}

static bool
take_long(parser *p, const char *word)
{
    const char *name = word + 2;
    size_t length = strcspn(name, "=");
    const moe_option *option = find_option(p->command, name, length, 0);
    if (!option)
        return unknown_option(p, word, name, length, 0);
    return take_option(p, option, name[length] == '=' ? name + length + 1 : NULL);
}

/* -q, -j4, -j 4, -qj4. */
static bool
take_letters(parser *p, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const moe_option *option = find_option(p->command, NULL, 0, *letter);
        if (!option)
            return unknown_option(p, word, word + 1, strlen(word + 1), *letter);
        if (option->kind != MOE_OPTION_FLAG)
            return take_option(p, option, letter[1] ? letter + 1 : NULL);
        if (!take_option(p, option, NULL))
            return false;
    }
    return true;
}

static bool
parse_words(parser *p)
{
    bool ended = false;
    for (p->at = 0; p->at < p->argc; p->at++) {
        const char *word = p->argv[p->at];
        if (!ended && !strcmp(word, "--"))
            ended = true;
        else if (!ended && word[0] != '-' && p->behind) {
            moe_say_usage(p->path, "'%s' stands before '--': '%s'", word, p->command->form);
            return false;
        } else if (ended || word[0] != '-' || word[1] == '\0')
            g_ptr_array_add(p->operands, (gpointer)(uintptr_t)word);
        else if (!(word[1] == '-' ? take_long(p, word) : take_letters(p, word)))
            return false;
    }
    return true;
}

static bool
check_operands(const parser *p)
{
    size_t n = p->operands->len;
    if (n < p->command->min_operands) {
        moe_say_usage(p->path, "'%s' wants %s", p->path, p->command->operands);
        return false;
    }
    if (n <= p->command->max_operands)
        return true;
    if (p->sibling && p->sibling->max_operands >= n)
        moe_say_usage(p->path, "'%s' is one word too many; a program stands behind '--': '%s'",
                      (const char *)g_ptr_array_index(p->operands, 0), p->sibling->form);
    else
        moe_say_usage(p->path, "'%s' is one word too many",
                      (const char *)g_ptr_array_index(p->operands, p->command->max_operands));
    return false;
}

static void
set_presets(const moe_command *command, void *values)
{
    for (size_t i = 0; i < command->n_options; i++)
        if (command->options[i].kind == MOE_OPTION_INT)
            *(int64_t *)(void *)((char *)values + command->options[i].offset) =
                command->options[i].preset;
}

static void
each_list(const moe_command *command, void *values, bool make)
{
    for (size_t i = 0; i < command->n_options; i++) {
        if (command->options[i].kind != MOE_OPTION_LIST)
            continue;
        GPtrArray **field = (GPtrArray **)(void *)((char *)values + command->options[i].offset);
        if (make)
            *field = g_ptr_array_new();
        else
            g_ptr_array_unref(*field);
    }
}

const moe_command *
moe_command_find(const moe_command *const *list, const char *path, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; list[i]; i++) {
        if (!strcmp(list[i]->name, name))
            return list[i];
        g_ptr_array_add(names, (gpointer)(uintptr_t)list[i]->name);
    }
    const char *close = moe_suggest(name, (const char *const *)names->pdata, names->len);
    if (close)
        moe_say_usage(path, "unknown command '%s'; did you mean '%s'?", name, close);
    else
        moe_say_usage(path, "unknown command '%s'", name);
    return NULL;
}

static int
run_child(const moe_command *command, const char *path, int argc, const char *const *argv)
{
    if (argc == 0)
        return moe_say_usage(path, "'%s' wants a command", path);
    if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
        moe_command_help(command, path);
        return MOE_EXIT_OK;
    }
    const moe_command *child = moe_command_find(command->children, path, argv[0]);
    if (!child)
        return MOE_EXIT_USAGE;
    g_autofree char *child_path = g_strdup_printf("%s %s", path, child->name);
    return moe_command_main(child, child_path, argc - 1, argv + 1);
}

static int
run_form(const moe_command *command, const moe_command *sibling, bool behind, const char *path,
         int argc, const char *const *argv)
{
    g_autofree void *values = g_malloc0(command->size + 1);
    g_autoptr(GPtrArray) operands = g_ptr_array_new();
    parser p = {command, sibling, behind, path, argc, argv, 0, values, false, operands};
    int code = MOE_EXIT_USAGE;
    each_list(command, values, true);
    set_presets(command, values);
    bool parsed = parse_words(&p);
    if (parsed && p.help) {
        moe_command_help(behind ? sibling : command, path);
        code = MOE_EXIT_OK;
    } else if (parsed && check_operands(&p)) {
        code = command->run(values, (const char *const *)operands->pdata, operands->len);
    }
    each_list(command, values, false);
    return code;
}

int
moe_command_main(const moe_command *command, const char *path, int argc, const char *const *argv)
{
    if (command->children)
        return run_child(command, path, argc, argv);
    if (command->other && command->is_other(argc, argv))
        return run_form(command->other, command, true, path, argc, argv);
    return run_form(command, command->other, false, path, argc, argv);
}
