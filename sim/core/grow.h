/* Growing arrays without GLib, for hot files; private to sim/core. */
#ifndef MOE_CORE_GROW_H
#define MOE_CORE_GROW_H

#include "sim/base/base.h"

#include <stdlib.h>
#include <string.h>

/* Makes the pointer at `array` hold at least `need` items of `size` bytes; *room is what it holds.
 */
static inline void
moe_grow(void *array, uint32_t *room, uint32_t need, size_t size)
{
    if (MOE_LIKELY(need <= *room))
        return;
    uint32_t more = *room < 8 ? 8 : *room;
    while (more < need) {
        moe_assert(more < UINT32_MAX / 2, "%u items", need);
        more *= 2;
    }
    void *items;
    memcpy(&items, array, sizeof items); /* a pointer of any type */
    items = realloc(items, (size_t)more * size);
    moe_assert(items, "out of memory for %u items of %zu bytes", more, size);
    memcpy(array, &items, sizeof items);
    *room = more;
}

#endif
