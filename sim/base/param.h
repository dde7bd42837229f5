/* Parameter tables: one row per key is the truth from which parsing, ranges, defaults, errors,
 * `moesim help KEY`, `moesim schema` and the README's reference come.
 *
 * A table describes a C struct. moe_settings_new fills it with defaults; moe_settings_read from a
 * YAML map; moe_settings_set sets one key from one YAML node (for sweeps and --set). All values
 * that point (texts, lists, choice configs) live in memory of the moe_settings, which owns the
 * struct too. The nodes given to read and set are remembered: their documents must outlive the
 * settings and all copies of them. Unknown keys, wrong types, wrong units and values
 * out of range are located errors with suggestions; all are collected.
 *
 * Keys are dotted paths relative to the map the table is read from ("experts.cache.capacity").
 * A row whose key holds ".*." describes each element of a list of maps: its offset is relative
 * to the element, `stride` is the element's size, and the list's own row (type MOE_PARAM_LIST,
 * key without ".*") says where the elements' array and count are. Written keys address
 * elements by index: "experts.staging.0.capacity".
 *
 * A choice is a value that selects a variant with parameters of its own (a policy, a kind of
 * routing source). It can be written as a name, or as a map with `kind` and the variant's own
 * rows. A choice row whose key ends in ".kind" reads the variant's rows beside it:
 *   prefetch: {kind: next-layer, budget: 2}    <- row "experts.prefetch.kind"
 *   evict: {kind: s3fifo, small: 10%}          <- row "experts.cache.evict"
 * For both, "X" and "X.kind" address the same row and "X.budget" the variant's row.
 *
 * Choosing a variant gives it fresh defaults, then sets again what was written for parameters of
 * this choice before, as far as the new variant has them: a sweep over kinds keeps the budget of
 * the document for each kind that knows a budget. A map that names a kind (or means the one now
 * chosen) must not write a key that this kind lacks. */
#ifndef MOE_BASE_PARAM_H
#define MOE_BASE_PARAM_H

#include "sim/base/units.h"
#include "sim/base/yaml.h"

typedef enum moe_param_type {
    MOE_PARAM_BOOL,        /* bool */
    MOE_PARAM_INT,         /* int64_t */
    MOE_PARAM_REAL,        /* double */
    MOE_PARAM_SHARE,       /* double, 0..1 written as percentage or fraction */
    MOE_PARAM_BYTES,       /* int64_t */
    MOE_PARAM_TIME,        /* int64_t picoseconds */
    MOE_PARAM_RATE,        /* double bytes/s */
    MOE_PARAM_FLOPS,       /* double FLOP/s */
    MOE_PARAM_POWER,       /* double watt */
    MOE_PARAM_BIT_ENERGY,  /* double pJ/bit, or the word "unknown" (-1) */
    MOE_PARAM_FLOP_ENERGY, /* double pJ/FLOP, or the word "unknown" (-1) */
    MOE_PARAM_AMOUNT,      /* moe_amount */
    MOE_PARAM_COUNT,  /* int64_t or the word "all" (INT64_MAX), or "recorded" (-1) if allowed */
    MOE_PARAM_ENUM,   /* int: index into `choices`, a '|'-separated list */
    MOE_PARAM_TEXT,   /* const char *, NULL when absent */
    MOE_PARAM_CHOICE, /* moe_choice */
    MOE_PARAM_LIST,   /* moe_list */
} moe_param_type;

enum {
    MOE_PARAM_REQUIRED = 1u << 0,
    MOE_PARAM_IDENTITY = 1u << 1, /* part of a run's identity */
    MOE_PARAM_RECORDED = 1u << 2, /* COUNT rows: the word "recorded" is allowed */
    MOE_PARAM_SOURCED = 1u << 3,  /* may be written {value, basis, source, note} */
};

typedef struct moe_param moe_param;
typedef struct moe_variant moe_variant;

/* One row. `min`/`max` are in the type's own unit (SI base units; bytes; picoseconds), are
 * ignored when both are 0, and max below min means no upper bound; AMOUNT, ENUM and TEXT have no
 * range. `unit` is for people ("bytes", "tokens/s"); of an ENUM or CHOICE it says what its names
 * are in "unknown evict policy 'lur'" ("policy"; NULL: nothing). `fallback` is the default
 * as it would be written; NULL: none (zero, NULL, or REQUIRED). */
struct moe_param {
    const char *key;
    moe_param_type type;
    size_t offset;
    const char *fallback;
    double min, max;
    const char *unit;
    const char *choices;                /* ENUM: "model|layer" */
    const moe_variant *const *variants; /* CHOICE: n_variants of them */
    size_t n_variants;
    size_t stride;    /* LIST: bytes per element */
    size_t max_items; /* LIST */
    unsigned flags;
    const char *help; /* one or two sentences, imperative or noun phrase */
};

/* One value of a choice: its name, one line of help, its own rows over its config struct. */
struct moe_variant {
    const char *name;
    const char *help;
    const moe_param *rows;
    size_t n_rows;
    size_t config_size; /* 0: no parameters */
    const void *ops;    /* what the name stands for; the caller's */
};

typedef struct moe_choice {
    const moe_variant *variant;
    void *config; /* zeroed and defaulted, variant->config_size bytes; NULL when 0 */
} moe_choice;

typedef struct moe_list {
    void *items; /* n elements of `stride` bytes */
    size_t n;
} moe_list;

/* Where a value came from, for rows flagged SOURCED. */
typedef struct moe_provenance {
    const char *key;
    const char
        *basis; /* vendor|measured|fitted|derived|literature|secondary|estimate; "": unsaid */
    const char *source; /* "" if unsaid */
    const char *note;   /* "" if unsaid */
} moe_provenance;

typedef struct moe_param_table {
    const char *name; /* "scenario", "hardware", "model": for messages and help */
    const moe_param *rows;
    size_t n_rows;
    size_t size; /* bytes of the struct */
} moe_param_table;

typedef struct moe_settings moe_settings;

/* A settings object holds a struct of table->size bytes with all defaults filled in. */
moe_settings *moe_settings_new(const moe_param_table *table);
moe_settings *moe_settings_copy(const moe_settings *settings); /* deep */
void moe_settings_free(moe_settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_settings, moe_settings_free)

/* The struct; borrowed, valid until the settings are freed. */
void *moe_settings_data(moe_settings *settings);

/* Sets every key of map `node`; keys in `skip` (NULL-terminated top-level names, or NULL) belong
 * to the caller. Then, when `complete`, reports REQUIRED rows that were never set. */
void moe_settings_read(moe_settings *settings, const moe_yaml *node, const char *const *skip,
                       bool complete, moe_diag *diag);
/* Sets one dotted key from a node (scalar, or a map for choices and sections). A parameter that
 * only variants not chosen now have is checked, and kept for when one of them is. */
void moe_settings_set(moe_settings *settings, const char *key, const moe_yaml *node,
                      moe_diag *diag);
/* Reports REQUIRED rows that were never set, in chosen variants and list elements too; `node` is
 * the map that was read, for the place, or NULL. */
void moe_settings_complete(const moe_settings *settings, const moe_yaml *node, moe_diag *diag);
/* Warns of keys given to moe_settings_set that the variants finally chosen do not have. */
void moe_settings_unused(const moe_settings *settings, moe_diag *diag);

/* The row a written key addresses, and its canonical spelling (borrowed from an intern table, or
 * NULL with no row; `canonical` may be NULL). Variant rows are found through the variant now
 * chosen, else in the first variant that has them. */
const moe_param *moe_settings_find(const moe_settings *settings, const char *key,
                                   const char **canonical);
/* The value of a key as canonical text: the same value always gives the same text, whatever the
 * spelling ("25%", "0.25" -> "25%"; "24GiB" -> "24GiB"), and reads back as that value. Yours to
 * free; NULL for unknown keys, "" for a parameter that the variant now chosen lacks. A choice
 * gives its variant's name; one that moe_settings_set wrote as a map, the parameters of that map
 * that differ from their defaults, too: "{kind: s3fifo, small: 5%}". A list is written out. */
char *moe_settings_text(const moe_settings *settings, const char *key);
/* Appends "key=value\n" for each IDENTITY row that differs from its default, in table order;
 * with `all`, for every row. Rows of variants and list elements are part of the identity when the
 * choice or list is; a list's own value is its number of elements. A line end in a text is written
 * "\n", a backslash "\\". */
void moe_settings_canonical(const moe_settings *settings, bool all, GString *out);
/* Where each SOURCED value came from; n entries, borrowed. */
const moe_provenance *moe_settings_provenance(const moe_settings *settings, size_t *n);

/* Help for a key of the table or of a variant ("experts.cache.capacity"); for "experts" the list
 * of keys below it. Yours to free; NULL when there is no such key (a suggestion, if any, in
 * *closest, borrowed). */
char *moe_param_help(const moe_param_table *table, const char *key, const char **closest);
/* All keys as a Markdown table, for the README's reference. */
void moe_param_markdown(const moe_param_table *table, GString *out);
/* Asserts that a table makes sense: defaults that can be read and are in range, rows within the
 * struct, variants, help for each key. For tests. */
void moe_param_check(const moe_param_table *table);
/* The table as the body of a JSON Schema object (draft 2020-12), without its braces: "type"
 * and "properties" nested by dots. The outermost object allows further properties, which belong to
 * the caller; those within do not. Nothing but list elements has required properties: a sweep may
 * supply the others. */
void moe_param_schema(const moe_param_table *table, GString *out);

/* Typed lookups of a single scalar node, for callers that walk YAML themselves: each returns
 * false after a located error. `what` names the key in the message. */
bool moe_yaml_int(const moe_yaml *node, const char *what, int64_t min, int64_t max, int64_t *out,
                  moe_diag *diag);
bool moe_yaml_text(const moe_yaml *node, const char *what, const char **out, moe_diag *diag);
bool moe_yaml_real(const moe_yaml *node, const char *what, double *out, moe_diag *diag);

#endif
