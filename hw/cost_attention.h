/* What attention costs: scores, softmax and weighted values of one layer, without projections.
 *
 * A kernel is known in one of two ways.
 *
 * By rates alone (tile_rows 0; a device's own attention_ numbers):
 *     time = launches + fixed + per_head * heads + max(bytes / (stream_efficiency * bandwidth),
 *            flops / rate) + passes
 * A prompt's rate is peak * efficiency * keys / (keys + half_keys), keys being how many a query
 * sees on average: a block of queries has a fixed part that its loop over the keys must outweigh.
 * (FlashAttention 3 on an H100, the context tables of ai-dynamo/aiconfigurator@095f58a: half of the
 * best rate near 500 keys, for any number of heads.) Without half_keys it is that of a product of
 * `rows`, and so is a decode's, where query heads that share a KV head (or MLA's latent) are rows
 * too: that of max(rows, flops / kv_bytes), the latter being the multiply-adds per 16-bit element
 * read. passes: new keys and values are read, and written into the cache, at pass_efficiency.
 *
 * By its blocks, as FlashAttention works. A block is tile_rows query rows of one sequence and KV
 * head (query heads of a group are rows, too: always in a decode, in a prompt where the kernel
 * packs them); it visits its keys tile_keys at a time. Of n blocks, on a device of `sms`
 * processors:
 *     step  = tile_rows * tile_keys * (2 * (key_dim + value_dim) / (efficiency * peak / sms) +
 *             score): products at the processor's share of the rate, padded rows and keys
 *             included, and the exponentials that they do not hide;
 *     keys  = key blocks that a block visits: those its queries see on average; half of its own
 *             positions more; half a key block less half of what both sizes have in common, where
 *             its end is none of a key block (MHA's of 128 and 128 ends with one); as much at the
 *             other end of a window, which some kernels take window_keys at a time
 *     waves = n / sms, rounded up as far as blocks are alike (keys / longest): a decode's last
 *             wave takes as long as any, a causal prompt's short blocks fill the gaps;
 *     dealt = waves * block + overlap(n / sms * keys * step, (KV bytes + queries + outputs) /
 *             (stream_efficiency * bandwidth))
 *     chain = block + longest / pieces * max(step, a key block's bytes / what one processor alone
 *             can read, unit_rate): a block that has no other to share with;
 *     time  = launches + fixed + overlap(dealt, chain) + combine (if cut) + passes
 * pieces: a kernel that splits cuts the keys of blocks as FlashAttention's scheduler does, such
 * that no processor has more than 1.1 times its share; split says of which work. One that always
 * cuts (for a CUDA graph, whose keys are not known when it is made) has n * pieces blocks, each of
 * `piece` in the place of `block`, and writes and reads as many results of 32 bits.
 * passes: the new keys and values are written by a kernel of a block of threads a token, of which
 * processors hold as many as 2048 threads allow, each taking `write`; and read and written at
 * pass_efficiency, whichever takes longer (a hypotenuse between). FP8 queries are cast by a kernel
 * before (`cast`), values narrower than keys padded (`pad`).
 * Work that is warm (a table that times the same call again and again) finds as much of the cache
 * in the device's shared one as fits, which each processor reads at cache_rate.
 *
 * What the numbers mean on a device that nobody has measured: tile_rows, tile_keys, pack, split are
 * the kernel's source; efficiency and stream_efficiency are shares; block, score, write, fixed and
 * combine are latencies of clocks that are much alike; unit_rate and cache_rate are what a
 * processor has in flight over such a latency, whatever memory the device has. */
#ifndef MOE_HW_COST_ATTENTION_H
#define MOE_HW_COST_ATTENTION_H

#include "hw/cost.h"

/* Attention of `queries` query tokens in total that read `kv_bytes` of KV cache and do `flops`. */
typedef struct moe_attention_work {
    double queries, kv_bytes, flops;
    double rows;      /* 1: a decode; else of the prompts */
    double keys;      /* that a query sees on average */
    double heads;     /* sequences times KV heads */
    double new_bytes; /* keys and values of the queries, which go into the cache */
    double activation_bits;
    double kv_bits; /* of the cache */
    int form;       /* moe_attention_form */
    /* The rest is for kernels that are known by their blocks. */
    double sequences, query_heads, kv_heads; /* heads of one sequence */
    double key_dim, value_dim;               /* as a query head sees them; latent: both wide */
    double key_bytes;                        /* of a key with its value, of one KV head */
    double longest;                          /* keys that the query with most of them sees */
    double new_tokens;                       /* whose keys and values are new_bytes */
    bool windowed;                           /* queries do not see all keys before them */
    bool warm;                               /* the same keys were read just before */
    const moe_attention_kernel *kernel;      /* NULL: the device's for such a cache */
} moe_attention_work;
moe_cost moe_cost_attention(const moe_hardware *hw, const moe_device *device,
                            const moe_attention_work *work);

/* Whether prompts of latent attention are better given as heads of their own, expanded from the
 * latent, as engines do it: so where the device has a kernel that is known by its blocks. */
bool moe_attention_expands(const moe_device *device, double kv_bits, double key_dim);

/* Whether a sequence's `queries` new tokens are computed with a latent of `latent_dim` itself, in a
 * cache of kv_bits: decodes are, and prompts so short that the kernel's software does not expand
 * them. */
bool moe_attention_absorbs(const moe_device *device, double kv_bits, double latent_dim,
                           double queries);

/* Linear attention (a state of key_dim * value_dim per head in the keys' place), of `sequences`
 * with `queries` tokens each. A prompt works in chunks of `chunk` tokens: within one as if they
 * were its keys, to and from the state with key_dim * value_dim multiply-adds each, which is as
 * many keys again; the state is read and written once a call. */
#define MOE_STATE_KERNEL_BITS 16 /* its kernel is that of such values, whatever the state holds */
moe_attention_work moe_attention_linear(double sequences, double queries, double heads,
                                        double key_dim, double value_dim, double state_bits,
                                        double chunk);

#endif
