/* YAML documents as trees with positions, with libyaml's traps closed: duplicate keys, aliases
 * and anchors, more than one document, depth above 32, NUL bytes, bad UTF-8 (located by its byte
 * offset turned into line and column), files above 1 MiB, empty files, non-scalar keys, merge
 * keys and tags are errors, each located. Scalars keep their text; conversion is the caller's
 * (sim/base/units.h, sim/base/param.h).
 *
 * A document owns its nodes and its file name; everything got from it is borrowed. */
#ifndef MOE_BASE_YAML_H
#define MOE_BASE_YAML_H

#include "sim/base/diag.h"

typedef enum moe_yaml_kind { MOE_YAML_SCALAR, MOE_YAML_LIST, MOE_YAML_MAP } moe_yaml_kind;

typedef struct moe_yaml moe_yaml;
struct moe_yaml {
    moe_yaml_kind kind;
    moe_loc loc;
    const char *text;      /* scalar: its text; else NULL */
    bool quoted;           /* scalar: written with quotes or as a block */
    size_t n;              /* list, map: children */
    const moe_yaml *items; /* list: n nodes; map: n values */
    const moe_yaml *keys;  /* map: n scalar nodes */
};

typedef struct moe_yaml_doc moe_yaml_doc;

/* Reads `path`. A file that cannot be opened sets `error` (environment) and returns NULL; one
 * that cannot be parsed adds located errors to `diag` and returns NULL with `error` unset. */
moe_yaml_doc *moe_yaml_load(const char *path, moe_diag *diag, GError **error);
/* The same from memory; `name` stands for the file name in messages. */
moe_yaml_doc *moe_yaml_parse(const char *name, const char *text, size_t length, moe_diag *diag);
void moe_yaml_free(moe_yaml_doc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_yaml_doc, moe_yaml_free)

/* The root node; always a map, list or scalar. */
const moe_yaml *moe_yaml_root(const moe_yaml_doc *doc);
/* The value of `key` in map `node`, or NULL. */
const moe_yaml *moe_yaml_get(const moe_yaml *node, const char *key);
/* "a scalar", "a list", "a map": for messages. */
const char *moe_yaml_kind_name(moe_yaml_kind kind);

#endif
