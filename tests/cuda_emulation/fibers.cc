/* Threads of a block as fibers on stacks of their own. */
#include "tests/cuda_emulation/emulation.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

moe_emulated_place moe_emulated;

namespace
{

constexpr size_t STACK = 256 << 10;
constexpr unsigned MOST = 1024, LANES = 32;
constexpr size_t GUARD = 4096;

/* ---- one fiber gives way to another ---- */

#ifdef __x86_64__
typedef void *context;
extern "C" void moe_emulated_switch(context *from, context to);
asm(R"(
    .text
    .globl moe_emulated_switch
    .hidden moe_emulated_switch
    .type moe_emulated_switch, @function
moe_emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size moe_emulated_switch, .-moe_emulated_switch
)");

void
context_make(context *c, void *stack, void (*entry)())
{
    void **top = (void **)((char *)stack + STACK) - 1; /* as after a call: 16 n + 8 */
    *top = NULL;
    *--top = (void *)entry;
    for (int i = 0; i < 6; i++)
        *--top = NULL;
    *c = top;
}
#else
typedef ucontext_t context;

void
moe_emulated_switch(context *from, context &to)
{
    swapcontext(from, &to);
}

void
context_make(context *c, void *stack, void (*entry)())
{
    getcontext(c);
    c->uc_stack.ss_sp = stack;
    c->uc_stack.ss_size = STACK;
    c->uc_link = NULL;
    makecontext(c, entry, 0);
}
#endif

/* ---- a block ---- */

struct copy {
    void *to;
    const void *from;
    unsigned bytes, valid, group;
};

struct async_product {
    float *d;
    const void *a, *b;
    bool more;
    unsigned group;
};

struct fiber {
    context at;
    uint3 index;
    unsigned lane, warp;
    void *stack, *fake;
    unsigned groups; /* of copies, committed so far */
    std::vector<copy> copies;
    unsigned product_groups;
    std::vector<async_product> products;
};

/* Lanes that wait for each other; masks in use at once are disjoint, known by their lowest lane. */
struct meeting {
    unsigned mask, here;
    moe_emulated_operation *operation;
    void *arguments[LANES];
};

struct warp {
    unsigned ready, alive;
    meeting meetings[LANES];
};

struct grid {
    const std::function<void()> *body;
    context main;
    void *main_fake;
    fiber fibers[MOST];
    warp warps[MOST / LANES];
    unsigned threads, n_warps, alive, current;
    unsigned at_barrier, votes, voted;
    const char *site;
    char *shared;
    size_t shared_bytes;
    bool failed;
} g;

std::recursive_mutex one_at_a_time;
unsigned faults;
bool be_quiet;
char message[512];

void
leave_for(context *from, void **fake, context &to, void *stack, size_t size)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(fake, stack, size);
    moe_emulated_switch(from, to);
    __sanitizer_finish_switch_fiber(fake ? *fake : NULL, NULL, NULL);
#else
    (void)fake, (void)stack, (void)size;
    moe_emulated_switch(from, to);
#endif
}

#ifdef __SANITIZE_ADDRESS__
const void *main_stack;
size_t main_stack_size;
#else
void *main_stack;
size_t main_stack_size;
#endif

void
to_main(bool ended)
{
    fiber *f = &g.fibers[g.current];
    leave_for(&f->at, ended ? NULL : &f->fake, g.main, (void *)main_stack, main_stack_size);
}

void
take_place(unsigned next)
{
    g.current = next;
    moe_emulated.thread = g.fibers[next].index;
    moe_emulated.lane = g.fibers[next].lane;
}

/* Last threads first. */
bool
backward()
{
    static const char *order = getenv("MOE_EMULATED_ORDER");
    return order && strcmp(order, "backward") == 0;
}

/* Of the lanes that are ready the next one behind `lane`, else the first, in either direction. */
unsigned
next_lane(unsigned ready, unsigned lane)
{
    if (backward()) {
        unsigned before = ready & ((1u << lane) - 1);
        return 31 - (unsigned)__builtin_clz(before ? before : ready);
    }
    unsigned behind = lane == 31 ? 0 : ready & ~((2u << lane) - 1);
    return (unsigned)__builtin_ctz(behind ? behind : ready);
}

/* A thread that is ready: of this warp, else of the next that has any. */
bool
find_ready(unsigned *out)
{
    const fiber *f = &g.fibers[g.current];
    unsigned w = f->warp, step = backward() ? g.n_warps - 1 : 1;
    if (g.warps[w].ready) {
        *out = w * LANES + next_lane(g.warps[w].ready, f->lane);
        return true;
    }
    for (unsigned i = 1; i < g.n_warps; i++) {
        w = (w + step) % g.n_warps;
        if (g.warps[w].ready) {
            *out = w * LANES + next_lane(g.warps[w].ready, backward() ? 0 : 31);
            return true;
        }
    }
    return false;
}

void
report_waiting()
{
    char text[256] = "";
    size_t used = 0;
    for (unsigned w = 0; w < g.n_warps; w++)
        for (unsigned m = 0; m < LANES; m++) {
            const meeting *meet = &g.warps[w].meetings[m];
            if (meet->here && used < sizeof text - 80)
                used += (size_t)snprintf(text + used, sizeof text - used,
                                         "; warp %u waits for lanes %08x of %08x", w,
                                         meet->mask & ~meet->here, meet->mask);
        }
    if (g.at_barrier)
        moe_emulated_fault("%u of %u threads wait at the barrier of %s, the others never come%s",
                           g.at_barrier, g.threads, g.site, text);
    moe_emulated_fault("lanes wait for others that never come%s", text);
}

/* Until this thread is made ready by another. */
void
wait()
{
    unsigned next;
    fiber *self = &g.fibers[g.current];
    if (!find_ready(&next))
        report_waiting();
    if (&g.fibers[next] == self)
        return;
    take_place(next);
    leave_for(&self->at, &self->fake, g.fibers[next].at, g.fibers[next].stack, STACK);
}

void
fiber_main()
{
#ifdef __SANITIZE_ADDRESS__
    const void *stack;
    size_t size;
    __sanitizer_finish_switch_fiber(NULL, &stack, &size);
    if (!main_stack) {
        main_stack = stack;
        main_stack_size = size;
    }
#endif
    (*g.body)();
    fiber *self = &g.fibers[g.current];
    unsigned next;
    g.warps[self->warp].ready &= ~(1u << self->lane);
    g.warps[self->warp].alive &= ~(1u << self->lane);
    g.alive--;
    if (!self->products.empty())
        moe_emulated_fault("ends with products that nobody waited for");
    if (!self->copies.empty())
        moe_emulated_fault("ends with copies into shared memory that nobody waited for");
    if (g.alive) {
        if (!find_ready(&next))
            report_waiting();
        take_place(next);
        leave_for(&self->at, NULL, g.fibers[next].at, g.fibers[next].stack, STACK);
    }
    to_main(true);
    abort(); /* nobody comes back to a thread that has ended */
}

void *
new_stack()
{
    void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) {
        perror("emulated thread's stack");
        abort();
    }
    return stack;
}

void
prepare_thread(unsigned i, dim3 block)
{
    fiber *f = &g.fibers[i];
    if (!f->stack)
        f->stack = new_stack();
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(f->stack, STACK);
#endif
    f->index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
    f->lane = i % LANES;
    f->warp = i / LANES;
    f->groups = f->product_groups = 0;
    f->fake = NULL;
    f->copies.clear();
    f->products.clear();
    context_make(&f->at, f->stack, fiber_main);
    g.warps[f->warp].ready |= 1u << f->lane;
    g.warps[f->warp].alive |= 1u << f->lane;
}

bool
guard_is_whole()
{
    for (size_t i = 0; i < GUARD; i++)
        if (g.shared[g.shared_bytes + i] != (char)0xA5)
            return false;
    return true;
}

void
run_block(dim3 block)
{
    g.threads = g.alive = block.x * block.y * block.z;
    g.n_warps = (g.threads + LANES - 1) / LANES;
    g.at_barrier = g.votes = 0;
    memset(g.warps, 0, sizeof g.warps);
    memset(g.shared, 0xFF, g.shared_bytes);
    memset(g.shared + g.shared_bytes, 0xA5, GUARD);
    for (unsigned i = 0; i < g.threads; i++)
        prepare_thread(i, block);
#ifdef __SANITIZE_ADDRESS__
    main_stack = NULL;
    __asan_poison_memory_region(g.shared + g.shared_bytes, GUARD);
#endif
    unsigned first = backward() ? g.threads - 1 : 0;
    take_place(first);
    leave_for(&g.main, &g.main_fake, g.fibers[first].at, g.fibers[first].stack, STACK);
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(g.shared + g.shared_bytes, GUARD);
#endif
    if (!g.failed && !guard_is_whole()) {
        g.failed = true;
        faults++;
        snprintf(message, sizeof message,
                 "block %u,%u,%u wrote behind its %zu bytes of dynamic "
                 "shared memory",
                 moe_emulated.block.x, moe_emulated.block.y, moe_emulated.block.z, g.shared_bytes);
        if (!be_quiet)
            fprintf(stderr, "emulated kernel: %s\n", message);
    }
}

} /* namespace */

bool
moe_emulated_run(dim3 grid, dim3 block, size_t shared, const std::function<void()> &body)
{
    std::lock_guard<std::recursive_mutex> lock(one_at_a_time);
    void *memory;

    if (posix_memalign(&memory, 1024, shared + GUARD))
        abort();
    g.body = &body;
    g.failed = false;
    g.shared = (char *)memory;
    g.shared_bytes = shared;
    moe_emulated.block_dim = block;
    moe_emulated.grid_dim = grid;
    for (uint64_t i = 0; i < (uint64_t)grid.x * grid.y * grid.z && !g.failed; i++) {
        moe_emulated.block = {(unsigned)(i % grid.x), (unsigned)(i / grid.x % grid.y),
                              (unsigned)(i / grid.x / grid.y)};
        run_block(block);
    }
    free(memory);
    return !g.failed;
}

void
moe_emulated_fault(const char *format, ...)
{
    const uint3 b = moe_emulated.block, t = moe_emulated.thread;
    va_list arguments;
    int used = snprintf(message, sizeof message, "block %u,%u,%u thread %u,%u,%u: ", b.x, b.y, b.z,
                        t.x, t.y, t.z);

    va_start(arguments, format);
    vsnprintf(message + used, sizeof message - (size_t)used, format, arguments);
    va_end(arguments);
    if (!be_quiet)
        fprintf(stderr, "emulated kernel: %s\n", message);
    faults++;
    g.failed = true;
    to_main(true);
    abort(); /* nobody comes back */
}

unsigned
moe_emulated_faults()
{
    return faults;
}

void
moe_emulated_quiet(bool quiet)
{
    be_quiet = quiet;
}

const char *
moe_emulated_message()
{
    return message;
}

void *
moe_emulated_shared()
{
    return g.shared;
}

/* ---- where threads meet ---- */

unsigned
moe_emulated_barrier(const char *site, int vote)
{
    if (g.at_barrier == 0) {
        g.site = site;
        g.votes = 0;
    } else if (strcmp(g.site, site) != 0) {
        moe_emulated_fault("is at the barrier of %s, others at that of %s", site, g.site);
    }
    g.votes += vote != 0;
    if (++g.at_barrier < g.threads) {
        fiber *self = &g.fibers[g.current];
        g.warps[self->warp].ready &= ~(1u << self->lane);
        wait();
        return g.voted;
    }
    for (unsigned w = 0; w < g.n_warps; w++)
        g.warps[w].ready = g.warps[w].alive;
    g.at_barrier = 0;
    g.voted = g.votes;
    return g.voted;
}

void
moe_emulated_exchange(unsigned mask, moe_emulated_operation *operation, void *argument)
{
    fiber *self = &g.fibers[g.current];
    warp *w = &g.warps[self->warp];
    unsigned rest = g.threads - self->warp * LANES;

    if (rest < LANES)
        mask &= (1u << rest) - 1;
    if (!(mask >> self->lane & 1))
        moe_emulated_fault("is not in the mask %08x that it waits for", mask);
    meeting *m = &w->meetings[__builtin_ctz(mask)];
    if (m->here && (m->mask != mask || m->operation != operation))
        moe_emulated_fault("comes with mask %08x, others of its warp with %08x or for another "
                           "operation",
                           mask, m->mask);
    m->mask = mask;
    m->operation = operation;
    m->here |= 1u << self->lane;
    m->arguments[self->lane] = argument;
    if (m->here != mask) {
        w->ready &= ~(1u << self->lane);
        wait();
        return;
    }
    m->here = 0;
    operation(m->arguments, mask);
    w->ready |= mask;
}

/* ---- copies into shared memory ---- */

void
moe_emulated_copy_async(void *shared, const void *global, unsigned bytes, unsigned valid)
{
    fiber *self = &g.fibers[g.current];
    if ((bytes != 4 && bytes != 8 && bytes != 16) || valid > bytes)
        moe_emulated_fault("copies %u of %u bytes asynchronously", valid, bytes);
    if ((uintptr_t)shared % bytes || (valid && (uintptr_t)global % bytes))
        moe_emulated_fault("copies %u bytes asynchronously from %p to %p, which is not aligned",
                           bytes, global, shared);
    memset(shared, 0xFF, bytes);
    self->copies.push_back({shared, global, bytes, valid, self->groups});
}

void
moe_emulated_copy_commit()
{
    g.fibers[g.current].groups++;
}

void
moe_emulated_copy_wait(unsigned pending)
{
    fiber *self = &g.fibers[g.current];
    size_t done = 0;
    while (done < self->copies.size() && self->copies[done].group + pending < self->groups) {
        const copy *c = &self->copies[done++];
        memset(c->to, 0, c->bytes);
        if (c->valid)
            memcpy(c->to, c->from, c->valid);
    }
    self->copies.erase(self->copies.begin(), self->copies.begin() + (long)done);
}

/* ---- asynchronous products ---- */

bool
moe_emulated_has_wgmma()
{
    static const char *has = getenv("MOE_EMULATED_WGMMA");
    return has && *has == '1';
}

void
moe_emulated_wgmma(float d[64], const void *a, const void *b, bool more)
{
    fiber *self = &g.fibers[g.current];
    if ((uintptr_t)a % 1024 % 32 || (uintptr_t)b % 1024 % 32)
        moe_emulated_fault("multiplies operands at %p and %p, which are not aligned", a, b);
    self->products.push_back({d, a, b, more, self->product_groups});
}

void
moe_emulated_wgmma_commit()
{
    g.fibers[g.current].product_groups++;
}

/* Columns 0 .. 15 of a row: the address of each part is exchanged by its bits 7 .. 9. */
static void
read_row(const void *operand, unsigned row, float out[16])
{
    for (unsigned k = 0; k < 16; k++) {
        uintptr_t at = (uintptr_t)operand + row * 128 + k * 2;
        uint16_t bits;
        at ^= (at >> 7 & 7) << 4;
        memcpy(&bits, (const void *)at, sizeof bits);
        uint32_t wide = (uint32_t)bits << 16;
        memcpy(&out[k], &wide, sizeof wide);
    }
}

static void
multiply_lane(const fiber *f, const async_product *p)
{
    float a[2][16], b[16];
    for (unsigned h = 0; h < 2; h++)
        read_row(p->a, f->warp % 4 * 16 + f->lane / 4 + h * 8, a[h]);
    for (unsigned j = 0; j < 16; j++)
        for (unsigned i = 0; i < 2; i++) {
            read_row(p->b, j * 8 + f->lane % 4 * 2 + i, b);
            for (unsigned h = 0; h < 2; h++) {
                float sum = 0, *d = &p->d[j * 4 + h * 2 + i];
                for (unsigned k = 0; k < 16; k++)
                    sum += a[h][k] * b[k];
                *d = p->more ? *d + sum : sum;
            }
        }
}

void
moe_emulated_wgmma_wait(unsigned pending)
{
    fiber *self = &g.fibers[g.current];
    size_t done = 0;
    while (done < self->products.size() &&
           self->products[done].group + pending < self->product_groups)
        multiply_lane(self, &self->products[done++]);
    self->products.erase(self->products.begin(), self->products.begin() + (long)done);
}
