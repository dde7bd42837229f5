/* Nanoseconds per task for what most scenarios are made of: one compute server with a chain of
 * tasks, one copy engine that loads over an idle link, joins of a few loads. */
#include "sim/core/blame.h"
#include "sim/core/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BENCH_LOADS 3

typedef struct bench_run {
    moe_server_id gpu, copy;
    moe_path_id path;
    uint64_t steps;
    uint32_t group;
} bench_run;

static double
bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static moe_task *
bench_compute(moe_engine *engine, const bench_run *run, moe_time work)
{
    moe_task *task = moe_task_new(engine);
    task->server = run->gpu;
    task->work = work;
    return task;
}

/* A segment, the loads that its gate asks for, and the experts, which wait for both. */
static void
bench_step(moe_engine *engine, moe_task *last, void *context)
{
    bench_run *run = context;
    if (run->steps-- == 0)
        return;
    moe_task *segment = bench_compute(engine, run, 40000000);
    if (last)
        moe_task_after(engine, segment, last);
    moe_task_submit(engine, segment);
    moe_task *experts = bench_compute(engine, run, 60000000);
    run->group++;
    for (int i = 0; i < BENCH_LOADS; i++) {
        moe_task *load = moe_task_new(engine);
        load->server = run->copy;
        load->path = run->path;
        load->bytes = 3 << 20;
        load->work = 2000000;
        load->cause = 1;
        load->group = run->group;
        load->priority = (uint8_t)(i == 2);
        moe_task_after(engine, load, segment);
        moe_task_submit(engine, load);
        moe_task_after(engine, experts, load);
    }
    moe_task_after(engine, experts, segment);
    experts->on_done = bench_step;
    moe_task_submit(engine, experts);
}

static void
bench_pattern(uint64_t steps, bool blamed)
{
    moe_engine *engine = moe_engine_new(1);
    bench_run run = {.steps = steps};
    moe_engine_set_context(engine, &run);
    moe_engine_add_cause(engine, "compute", MOE_CAUSE_COMPUTE);
    moe_engine_add_cause(engine, "load", MOE_CAUSE_TRANSFER);
    run.gpu = moe_engine_add_server(engine, "gpu", 0);
    run.copy = moe_engine_add_server(engine, "copy", 1 << 20);
    moe_link_id link = moe_engine_add_link(engine, "pcie", 25e9);
    run.path = moe_engine_add_path(engine, &link, 1, 24.7e9);
    moe_blame *blame = blamed ? moe_blame_new(engine, &run.gpu, 1, NULL, NULL) : NULL;
    double t = bench_seconds();
    bench_step(engine, NULL, &run);
    moe_time end = moe_engine_run(engine);
    if (blame)
        moe_blame_finish(blame, end);
    t = bench_seconds() - t;
    uint64_t tasks = moe_engine_tasks(engine), events = moe_engine_events(engine);
    printf("%s %9llu tasks: %6.1f ns per task, %.2f events per task, %.3f s\n",
           blamed ? "blamed" : "plain ", (unsigned long long)tasks, 1e9 * t / (double)tasks,
           (double)events / (double)tasks, t);
    moe_blame_free(blame);
    moe_engine_free(engine);
}

int
main(int argc, char **argv)
{
    uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    for (int round = 0; round < 3; round++) {
        bench_pattern(steps, false);
        bench_pattern(steps, true);
    }
    return 0;
}
