#include "profiler/memory.h"

#include <glib.h>
#include <string.h>

/* A group's limit as a number is no limit from here on. */
#define NO_LIMIT (UINT64_C(1) << 62)

/* ---- control groups ---- */

/* The two versions of control groups call the same numbers differently. */
typedef struct dialect {
    const char *limit, *used, *droppable; /* the last is a line of memory.stat */
} dialect;
static const dialect first = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                              "total_inactive_file "};
static const dialect second = {"memory.max", "memory.current", "inactive_file "};

/* The number in a file, UINT64_MAX where it is absent or no number ("max"). */
static uint64_t
number_in(const char *folder, const char *file)
{
    g_autofree char *path = g_build_filename(folder, file, NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL) || !g_ascii_isdigit(*text))
        return UINT64_MAX;
    return g_ascii_strtoull(text, NULL, 10);
}

static uint64_t
droppable(const char *folder, const char *line)
{
    g_autofree char *path = g_build_filename(folder, "memory.stat", NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (g_str_has_prefix(at, line))
            return g_ascii_strtoull(at + strlen(line), NULL, 10);
    }
    return 0;
}

static void
lower(uint64_t *least, uint64_t value)
{
    *least = MIN(*least, value);
}

static void
look_at_group(const char *folder, const dialect *d, moe_memory_group *out)
{
    uint64_t limit = number_in(folder, d->limit), used = number_in(folder, d->used);
    if (limit >= NO_LIMIT)
        return;
    lower(&out->limit, limit);
    if (used == UINT64_MAX)
        return;
    used -= MIN(used, droppable(folder, d->droppable));
    lower(&out->left, limit - MIN(limit, used));
}

/* The group at `path` below `root`, and those that hold it. In a container the path may be one
 * that only the host knows: what is absent says nothing. */
static void
look_up_from(const char *root, const char *path, const dialect *d, moe_memory_group *out)
{
    g_autofree char *at = g_strdup(path);
    for (;;) {
        g_autofree char *folder = g_build_filename(root, at, NULL);
        look_at_group(folder, d, out);
        char *slash = strrchr(at, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

moe_memory_group
moe_memory_of_groups(const char *membership, const char *root)
{
    moe_memory_group out = {UINT64_MAX, UINT64_MAX};
    g_auto(GStrv) lines = g_strsplit(membership, "\n", -1);
    for (size_t i = 0; lines[i]; i++) { /* "4:memory:/a/b"; "0::/a/b" of the second version */
        g_auto(GStrv) parts = g_strsplit(lines[i], ":", 3);
        if (g_strv_length(parts) < 3 || strstr(parts[2], ".."))
            continue;
        g_auto(GStrv) controllers = g_strsplit(parts[1], ",", -1);
        g_autofree char *hierarchy = g_build_filename(root, "memory", NULL);
        if (!*parts[1])
            look_up_from(root, parts[2], &second, &out);
        else if (g_strv_contains((const char *const *)controllers, "memory"))
            look_up_from(hierarchy, parts[2], &first, &out);
    }
    return out;
}

static moe_memory_group
groups_here(void)
{
    g_autofree char *membership = NULL;
    if (!g_file_get_contents("/proc/self/cgroup", &membership, NULL, NULL))
        return (moe_memory_group){UINT64_MAX, UINT64_MAX};
    return moe_memory_of_groups(membership, "/sys/fs/cgroup");
}

/* ---- the machine ---- */

static uint64_t
of_meminfo(const char *name)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL))
        return UINT64_MAX;
    const char *line = strstr(text, name);
    uint64_t kib = line ? g_ascii_strtoull(line + strlen(name), NULL, 10) : 0;
    return kib ? kib * 1024 : UINT64_MAX;
}

uint64_t
moe_memory_available(void)
{
    return MIN(of_meminfo("MemAvailable:"), groups_here().left);
}

uint64_t
moe_memory_total(bool *limited)
{
    uint64_t all = of_meminfo("MemTotal:"), limit = groups_here().limit;
    *limited = limit < all;
    return MIN(all, limit);
}
