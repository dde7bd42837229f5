#include "profiler/import_calls.h"

#include "traces/index_map.h"

typedef struct call {
    uint64_t range; /* id; 0: none */
    int64_t step;
} call;

struct moe_calls {
    moe_index_map keys; /* process << 32 | correlation -> */
    GArray *calls;
};

moe_calls *
moe_calls_new(void)
{
    moe_calls *c = g_new0(moe_calls, 1);
    c->calls = g_array_new(FALSE, FALSE, sizeof(call));
    return c;
}

void
moe_calls_free(moe_calls *c)
{
    if (!c)
        return;
    moe_index_map_clear(&c->keys);
    g_array_unref(c->calls);
    g_free(c);
}

static moe_profile_place
call_place(const call *made, const moe_nest *nest)
{
    moe_profile_place place = MOE_PROFILE_NOWHERE;
    if (nest && made->range)
        place = moe_nest_place(nest, made->range);
    if (place.step == MOE_PROFILE_NULL)
        place.step = made->step;
    return place;
}

moe_profile_place
moe_calls_add(moe_calls *c, uint32_t process, uint32_t correlation, const moe_nest *nest,
              uint32_t thread, uint64_t time_ns)
{
    uint32_t known = c->keys.n;
    uint32_t at = moe_index_map_add(&c->keys, (uint64_t)process << 32 | correlation);
    call made = {nest ? moe_nest_at(nest, thread, time_ns) : 0,
                 nest ? moe_nest_step_at(nest, time_ns, thread) : MOE_PROFILE_NULL};
    moe_assert(at != MOE_NONE, "no memory for %u calls", known);
    if (at == known) /* of a runtime call and the driver's inside of it, the first */
        g_array_append_val(c->calls, made);
    return call_place(&made, nest);
}

moe_profile_place
moe_calls_place(const moe_calls *c, uint32_t process, uint32_t correlation, const moe_nest *nest)
{
    uint64_t key = (uint64_t)process << 32 | correlation;
    uint32_t at = c->keys.n ? c->keys.values[moe_index_map_slot(&c->keys, key)] : MOE_NONE;
    return at == MOE_NONE ? MOE_PROFILE_NOWHERE
                          : call_place(&g_array_index(c->calls, call, at), nest);
}
