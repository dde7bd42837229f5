/* What the lanes of a warp do together. */
#include <cuda_runtime.h>

namespace
{

struct word {
    uint64_t value, result;
    unsigned source, mask;
};

template <class F>
void
each(unsigned mask, F f)
{
    for (; mask; mask &= mask - 1)
        f(__builtin_ctz(mask));
}

word *
words(void *const *arguments, int lane)
{
    return (word *)arguments[lane];
}

void
shuffle(void *const *arguments, unsigned mask)
{
    each(mask, [&](int lane) {
        word *w = words(arguments, lane);
        if (w->source > 31 || !(mask >> w->source & 1))
            moe_emulated_fault("lane %d reads lane %u, which is not in the mask %08x", lane,
                               w->source, mask);
        w->result = words(arguments, (int)w->source)->value;
    });
}

template <class F>
void
reduce(void *const *arguments, unsigned mask, F f)
{
    unsigned first = (unsigned)__builtin_ctz(mask);
    unsigned all = (unsigned)words(arguments, (int)first)->value;
    each(mask & (mask - 1),
         [&](int lane) { all = f(all, (unsigned)words(arguments, lane)->value); });
    each(mask, [&](int lane) { words(arguments, lane)->result = all; });
}

void
sum(void *const *arguments, unsigned mask)
{
    reduce(arguments, mask, [](unsigned a, unsigned b) { return a + b; });
}

void
largest(void *const *arguments, unsigned mask)
{
    reduce(arguments, mask, [](unsigned a, unsigned b) { return a > b ? a : b; });
}

void
smallest(void *const *arguments, unsigned mask)
{
    reduce(arguments, mask, [](unsigned a, unsigned b) { return a < b ? a : b; });
}

void
any_bit(void *const *arguments, unsigned mask)
{
    reduce(arguments, mask, [](unsigned a, unsigned b) { return a | b; });
}

void
match(void *const *arguments, unsigned mask)
{
    each(mask, [&](int lane) {
        word *w = words(arguments, lane);
        w->result = 0;
        each(mask, [&](int other) {
            if (words(arguments, other)->value == w->value)
                w->result |= 1u << other;
        });
    });
}

void
nothing(void *const *, unsigned)
{
}

unsigned
together(unsigned mask, moe_emulated_operation *operation, unsigned value)
{
    word w = {value, 0, 0, mask};
    moe_emulated_exchange(mask, operation, &w);
    return (unsigned)w.result;
}

} /* namespace */

void
__syncwarp(unsigned mask)
{
    together(mask, nothing, 0);
}

unsigned
__ballot_sync(unsigned mask, int predicate)
{
    return together(mask, any_bit, predicate ? 1u << moe_emulated.lane : 0);
}

int
__any_sync(unsigned mask, int predicate)
{
    return together(mask, any_bit, predicate != 0) != 0;
}

int
__all_sync(unsigned mask, int predicate)
{
    return together(mask, any_bit, predicate == 0) == 0;
}

unsigned
__match_any_sync(unsigned mask, unsigned value)
{
    return together(mask, match, value);
}

unsigned
__reduce_add_sync(unsigned mask, unsigned value)
{
    return together(mask, sum, value);
}

unsigned
__reduce_max_sync(unsigned mask, unsigned value)
{
    return together(mask, largest, value);
}

unsigned
__reduce_min_sync(unsigned mask, unsigned value)
{
    return together(mask, smallest, value);
}

unsigned
__reduce_or_sync(unsigned mask, unsigned value)
{
    return together(mask, any_bit, value);
}

uint64_t
moe_emulated_shuffle(unsigned mask, uint64_t value, unsigned source)
{
    word w = {value, 0, source, mask};
    moe_emulated_exchange(mask, shuffle, &w);
    return w.result;
}

/* ---- tensor cores ---- */

namespace
{

constexpr unsigned WARP = 0xFFFFFFFF;

struct load {
    const uint16_t *row;
    uint32_t *out;
    unsigned n;
    bool transposed;
};

/* Matrix m is made of the rows that lanes 8 m .. 8 m + 7 point to; lane l gets of each the pair
 * (row l / 4, columns 2 (l % 4), + 1), transposed: (rows 2 (l % 4), + 1, column l / 4). */
void
load_matrices(void *const *arguments, unsigned mask)
{
    const load *first = (const load *)arguments[0];
    if (mask != WARP)
        moe_emulated_fault("loads matrices with the lanes %08x alone", mask);
    for (unsigned m = 0; m < first->n; m++) {
        const uint16_t *rows[8];
        for (unsigned r = 0; r < 8; r++) {
            rows[r] = ((const load *)arguments[m * 8 + r])->row;
            if ((uintptr_t)rows[r] % 16)
                moe_emulated_fault("loads a row of a matrix at %p, which is not aligned",
                                   (const void *)rows[r]);
        }
        for (unsigned lane = 0; lane < 32; lane++) {
            const load *l = (const load *)arguments[lane];
            unsigned outer = lane / 4, inner = lane % 4 * 2;
            uint32_t low = l->transposed ? rows[inner][outer] : rows[outer][inner];
            uint32_t high = l->transposed ? rows[inner + 1][outer] : rows[outer][inner + 1];
            l->out[m] = low | high << 16;
        }
    }
}

struct product {
    float *d;
    const uint32_t *a, *b;
};

float
half_of(uint32_t pair, unsigned which)
{
    return __uint_as_float(which ? pair & 0xFFFF0000 : pair << 16);
}

/* Fragments as the PTX manual draws them, with group g = lane / 4 and t = lane % 4: a: rows g,
 * g + 8, g, g + 8, columns 2 t + {0, 1}, the last two + 8; b: rows 2 t + {0, 1}, then + 8, column
 * g; d: row g, columns 2 t + {0, 1}, then row g + 8. */
void
multiply(void *const *arguments, unsigned mask)
{
    float a[16][16], b[8][16];
    if (mask != WARP)
        moe_emulated_fault("multiplies matrices with the lanes %08x alone", mask);
    for (unsigned lane = 0; lane < 32; lane++) {
        const product *p = (const product *)arguments[lane];
        unsigned g = lane / 4, t = lane % 4;
        for (unsigned i = 0; i < 4; i++)
            for (unsigned j = 0; j < 2; j++)
                a[g + i % 2 * 8][t * 2 + j + i / 2 * 8] = half_of(p->a[i], j);
        for (unsigned i = 0; i < 2; i++)
            for (unsigned j = 0; j < 2; j++)
                b[g][t * 2 + j + i * 8] = half_of(p->b[i], j);
    }
    for (unsigned lane = 0; lane < 32; lane++) {
        const product *p = (const product *)arguments[lane];
        for (unsigned i = 0; i < 4; i++) {
            const float *row = a[lane / 4 + i / 2 * 8], *column = b[lane % 4 * 2 + i % 2];
            float sums[4] = {0, 0, 0, 0};
            for (unsigned k = 0; k < 16; k++)
                sums[k % 4] += row[k] * column[k];
            p->d[i] += sums[0] + sums[1] + (sums[2] + sums[3]);
        }
    }
}

} /* namespace */

void
moe_emulated_ldmatrix(unsigned n, bool transposed, const void *row, uint32_t *out)
{
    load l = {(const uint16_t *)row, out, n, transposed};
    moe_emulated_exchange(WARP, load_matrices, &l);
}

void
moe_emulated_mma(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    product p = {d, a, b};
    moe_emulated_exchange(WARP, multiply, &p);
}
