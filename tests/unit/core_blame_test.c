/* Where a compute server's time goes, on graphs small enough to say it in advance. */
#include "sim/core/blame.h"
#include "sim/core/engine_state.h"

#include "tests/test.h"

#define US 1000000LL /* picoseconds */

enum { ATTENTION, EXPERTS, LAUNCH, LOAD, DISK, HOST, N_CAUSES };

typedef struct setup {
    moe_engine *engine;
    moe_blame *blame;
    moe_server_id gpu, peer, copy, disk;
    moe_path_id path;
    moe_capacity_id memory;
} setup;

/* Splits off 1 us of launch from every task that has more. */
static size_t
split_launch(void *context, const moe_task *task, uint16_t *causes, moe_time *parts, size_t max)
{
    if (task->work <= US)
        return 0;
    causes[0] = LAUNCH;
    parts[0] = US;
    causes[1] = task->cause;
    parts[1] = task->work - US;
    return 2;
}

/* Two compute servers, the first watched; two engines that move 1 MB/us over one link. */
static setup
start(moe_blame_split *split)
{
    setup s = {.engine = moe_engine_new(1)};
    static const moe_cause_kind kinds[] = {MOE_CAUSE_COMPUTE,  MOE_CAUSE_COMPUTE,
                                           MOE_CAUSE_COMPUTE,  MOE_CAUSE_TRANSFER,
                                           MOE_CAUSE_TRANSFER, MOE_CAUSE_WAIT};
    for (int i = 0; i < N_CAUSES; i++)
        moe_engine_add_cause(s.engine, "cause", kinds[i]);
    s.gpu = moe_engine_add_server(s.engine, "gpu", 0);
    s.peer = moe_engine_add_server(s.engine, "peer", 0);
    s.copy = moe_engine_add_server(s.engine, "copy", 0);
    s.disk = moe_engine_add_server(s.engine, "disk", 0);
    moe_link_id link = moe_engine_add_link(s.engine, "link", 1e12);
    s.path = moe_engine_add_path(s.engine, &link, 1, 0);
    s.memory = moe_engine_add_capacity(s.engine, "memory");
    s.blame = moe_blame_new(s.engine, &s.gpu, 1, split, NULL);
    return s;
}

static moe_task *
task(const setup *s, moe_server_id server, uint16_t cause, moe_time work, moe_task *after)
{
    moe_task *t = moe_task_new(s->engine);
    t->server = server;
    t->cause = cause;
    t->work = work;
    if (after)
        moe_task_after(s->engine, t, after);
    return t;
}

static moe_task *
load(const setup *s, moe_server_id server, uint16_t cause, int64_t bytes, moe_task *after)
{
    moe_task *t = task(s, server, cause, 0, after);
    t->path = s->path;
    t->bytes = bytes;
    return t;
}

static void
expect_part(const setup *s, moe_blame_kind kind, uint16_t cause, moe_time want)
{
    moe_time got = moe_blame_part(s->blame, 0, kind, cause);
    MOE_CHECK(got == want, "%s of cause %u: %lld ps, not %lld", moe_blame_kind_name(kind), cause,
              (long long)got, (long long)want);
}

/* Runs, closes the account at `wall` and frees nothing yet. */
static void
run(const setup *s, moe_time wall)
{
    moe_time end = moe_engine_run(s->engine);
    MOE_CHECK(end <= wall, "ran until %lld ps", (long long)end);
    moe_blame_finish(s->blame, wall);
}

static void
stop(const setup *s)
{
    moe_blame_free(s->blame);
    moe_engine_free(s->engine);
}

static void
exposed_load(void)
{
    setup s = start(split_launch);
    moe_task *first = task(&s, s.gpu, ATTENTION, 3 * US, NULL);
    moe_task *move = load(&s, s.copy, LOAD, 4000000, first);
    move->work = 1 * US;
    moe_task *last = task(&s, s.gpu, EXPERTS, 2 * US, move);
    moe_task_after(s.engine, last, first);
    moe_task_submit(s.engine, first);
    moe_task_submit(s.engine, move);
    moe_task_submit(s.engine, last);
    run(&s, 12 * US);
    expect_part(&s, MOE_BLAME_BUSY, ATTENTION, 2 * US);
    expect_part(&s, MOE_BLAME_BUSY, EXPERTS, 1 * US);
    expect_part(&s, MOE_BLAME_BUSY, LAUNCH, 2 * US);
    expect_part(&s, MOE_BLAME_EXPOSED, LOAD, 5 * US);
    expect_part(&s, MOE_BLAME_IDLE, 0, 2 * US); /* after the last task */
    stop(&s);
}

/* A load that waits for one of its own join, and one that waits for a stranger. */
static void
behind_others(void)
{
    for (uint32_t same = 0; same < 2; same++) {
        setup s = start(NULL);
        moe_task *one = load(&s, s.copy, DISK, 3000000, NULL);
        moe_task *two = load(&s, s.copy, LOAD, 2000000, NULL);
        moe_task *last = task(&s, s.gpu, EXPERTS, 1 * US, two);
        if (same)
            moe_task_after(s.engine, last, one);
        one->group = 1;
        two->group = same ? 1 : 2;
        moe_task_submit(s.engine, one);
        moe_task_submit(s.engine, two);
        moe_task_submit(s.engine, last);
        run(&s, 6 * US);
        expect_part(&s, MOE_BLAME_EXPOSED, LOAD, 2 * US);
        expect_part(&s, MOE_BLAME_EXPOSED, DISK, same ? 3 * US : 0);
        expect_part(&s, MOE_BLAME_QUEUEING, 0, same ? 0 : 3 * US);
        stop(&s);
    }
}

/* Two transfers share the link: the one waited for takes twice its time. */
static void
contention(void)
{
    setup s = start(NULL);
    moe_task *one = load(&s, s.copy, LOAD, 2000000, NULL);
    moe_task *two = load(&s, s.disk, DISK, 2000000, NULL);
    moe_task *last = task(&s, s.gpu, EXPERTS, 1 * US, one);
    moe_task_submit(s.engine, one);
    moe_task_submit(s.engine, two);
    moe_task_submit(s.engine, last);
    run(&s, 5 * US);
    expect_part(&s, MOE_BLAME_EXPOSED, LOAD, 2 * US);
    expect_part(&s, MOE_BLAME_CONTENTION, 0, 2 * US);
    expect_part(&s, MOE_BLAME_BUSY, EXPERTS, 1 * US);
    stop(&s);
}

/* Its own stretch counts as contention too. */
static void
stretched(void)
{
    setup s = start(NULL);
    moe_task *one = task(&s, s.gpu, EXPERTS, 4 * US, NULL);
    moe_task *two = task(&s, s.peer, EXPERTS, 2 * US, NULL);
    one->n_shares = two->n_shares = 1;
    one->shares[0] = two->shares[0] = (moe_share){s.memory, 0.75f};
    moe_task_submit(s.engine, one);
    moe_task_submit(s.engine, two);
    run(&s, 5 * US);
    expect_part(&s, MOE_BLAME_BUSY, EXPERTS, 4 * US);
    expect_part(&s, MOE_BLAME_CONTENTION, 0, 1 * US);
    stop(&s);
}

static void
imbalance(void)
{
    setup s = start(NULL);
    moe_task *slow = task(&s, s.peer, ATTENTION, 5 * US, NULL);
    moe_task *join = task(&s, MOE_NO_SERVER, HOST, 1 * US, slow);
    moe_task *last = task(&s, s.gpu, EXPERTS, 1 * US, join);
    moe_task_submit(s.engine, slow);
    moe_task_submit(s.engine, join);
    moe_task_submit(s.engine, last);
    run(&s, 7 * US);
    expect_part(&s, MOE_BLAME_IMBALANCE, ATTENTION, 5 * US);
    expect_part(&s, MOE_BLAME_EXPOSED, HOST, 1 * US);
    stop(&s);
}

static void
submit_late(moe_engine *engine, void *context)
{
    moe_task_submit(engine, context);
}

/* Nothing to wait for but the submission itself. */
static void
late_submission(void)
{
    setup s = start(NULL);
    moe_task *move = load(&s, s.copy, LOAD, 2000000, NULL);
    moe_task *last = task(&s, s.gpu, EXPERTS, 1 * US, move);
    moe_task_submit(s.engine, move);
    moe_engine_at(s.engine, 5 * US, 0, submit_late, last);
    run(&s, 6 * US);
    expect_part(&s, MOE_BLAME_EXPOSED, LOAD, 2 * US);
    expect_part(&s, MOE_BLAME_IDLE, 0, 3 * US);
    stop(&s);
}

/* The task that ends a gap waits for what ended last. */
static void
binding_is_the_last(void)
{
    setup s = start(NULL);
    moe_task *one = load(&s, s.copy, LOAD, 2000000, NULL);
    moe_task *two = task(&s, s.peer, ATTENTION, 3 * US, NULL);
    moe_task *last = task(&s, s.gpu, EXPERTS, 1 * US, two);
    moe_task_after(s.engine, last, one);
    moe_task_submit(s.engine, one);
    moe_task_submit(s.engine, two);
    moe_task_submit(s.engine, last);
    run(&s, 4 * US);
    expect_part(&s, MOE_BLAME_IMBALANCE, ATTENTION, 3 * US);
    expect_part(&s, MOE_BLAME_EXPOSED, LOAD, 0);
    stop(&s);
}

static void
reset_blame(moe_engine *engine, void *context)
{
    moe_blame_reset(context, moe_engine_now(engine));
}

/* A reset in the midst of a task, and one in the midst of a gap. */
static void
warm_up(void)
{
    static const moe_time resets[] = {2 * US, 6 * US};
    for (int i = 0; i < 2; i++) {
        setup s = start(split_launch);
        moe_task *first = task(&s, s.gpu, ATTENTION, 4 * US, NULL);
        moe_task *move = load(&s, s.copy, LOAD, 4000000, first);
        moe_task *last = task(&s, s.gpu, EXPERTS, 1 * US, move);
        moe_task_submit(s.engine, first);
        moe_task_submit(s.engine, move);
        moe_task_submit(s.engine, last);
        moe_engine_at(s.engine, resets[i], 0, reset_blame, s.blame);
        run(&s, 9 * US);
        expect_part(&s, MOE_BLAME_BUSY, LAUNCH, 0);
        expect_part(&s, MOE_BLAME_BUSY, ATTENTION, i ? 0 : 2 * US);
        expect_part(&s, MOE_BLAME_EXPOSED, LOAD, i ? 2 * US : 4 * US);
        expect_part(&s, MOE_BLAME_BUSY, EXPERTS, 1 * US);
        stop(&s);
    }
}

/* Experts that stream from a load: 1 us until the first granule, 1 us of work while it goes on,
 * then the load's end and the last granule. */
static void
held_back(void)
{
    setup s = start(NULL);
    moe_task *move = load(&s, s.copy, LOAD, 4000000, NULL);
    moe_task *last = task(&s, s.gpu, EXPERTS, 1 * US, NULL);
    moe_task_stream(s.engine, last, move, 0.25);
    moe_task_submit(s.engine, move);
    moe_task_submit(s.engine, last);
    run(&s, 4 * US + US / 4);
    expect_part(&s, MOE_BLAME_BUSY, EXPERTS, 1 * US);
    expect_part(&s, MOE_BLAME_EXPOSED, LOAD, 3 * US + US / 4);
    stop(&s);
}

/* A chain over two hops, stored and forwarded: each hop's own time is its own. */
static void
two_hops(void)
{
    setup s = start(NULL);
    moe_task *first = load(&s, s.disk, DISK, 4000000, NULL);
    moe_task *second = load(&s, s.copy, LOAD, 4000000, NULL);
    second->path = MOE_NO_PATH;
    second->bytes = 0;
    second->work = 2 * US;
    moe_task_stream(s.engine, second, first, 0.5);
    moe_task *last = task(&s, s.gpu, EXPERTS, 1 * US, second);
    moe_task_submit(s.engine, first);
    moe_task_submit(s.engine, second);
    moe_task_submit(s.engine, last);
    run(&s, 6 * US);
    expect_part(&s, MOE_BLAME_EXPOSED, DISK, 3 * US);
    expect_part(&s, MOE_BLAME_EXPOSED, LOAD, 2 * US);
    stop(&s);
}

/* A watched server without work must not keep every task in memory. */
typedef struct endless {
    setup s;
    uint32_t left;
} endless;

static void
next_task(moe_engine *engine, moe_task *done, void *context)
{
    endless *e = context;
    if (e->left-- == 0)
        return;
    moe_task *next = task(&e->s, e->s.peer, ATTENTION, 10, done);
    next->on_done = next_task;
    moe_task_submit(engine, next);
}

static void
idle_for_long(void)
{
    endless e = {.s = start(NULL), .left = 1500000};
    moe_engine_set_context(e.s.engine, &e);
    next_task(e.s.engine, NULL, &e);
    moe_time end = moe_engine_run(e.s.engine);
    moe_task *last = task(&e.s, e.s.gpu, EXPERTS, 1 * US, NULL);
    moe_task_submit(e.s.engine, last);
    run(&e.s, end + US);
    expect_part(&e.s, MOE_BLAME_BUSY, EXPERTS, 1 * US);
    expect_part(&e.s, MOE_BLAME_IDLE, 0, end);
    MOE_CHECK(e.s.engine->n_blocks < 3000, "%u blocks of 256 tasks", e.s.engine->n_blocks);
    stop(&e.s);
}

MOE_TESTS({"exposed load", exposed_load}, {"behind others", behind_others},
          {"contention", contention}, {"stretched", stretched}, {"imbalance", imbalance},
          {"late submission", late_submission}, {"binding is the last", binding_is_the_last},
          {"warm-up", warm_up}, {"held back", held_back}, {"two hops", two_hops},
          {"idle for long", idle_for_long})
