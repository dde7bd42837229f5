/* How tokens spread over the experts of one device in measured tables that name a distribution.
 *
 * The rules are those by which ai-dynamo/aiconfigurator's tables were measured:
 *   balanced      with stride = ceil(E / k), token t takes the experts (t + j * stride) mod E for
 *                 j < k; where there are fewer tokens than strides, (floor(t * stride / T) + j *
 *                 stride) mod E. The device is the first of `ranks`, with the first E / ranks.
 *   power_law_a   an expert draws u, uniform in (0, 1), and x = ((xmax^(1-a) - xmin^(1-a)) u +
 *                 xmin^(1-a))^(1/(1-a)), from 1 to 0.8 T where T * k > E, else from 0.01 to 2. x is
 *                 scaled to the sum T * k, rounded, and capped at T; what is then missing (too
 *                 much) goes one by one, round-robin over the ranks, to (from) the least (most)
 *                 loaded expert of each. The device is the rank with the largest sum: it is the one
 *                 that was timed. The tables' times are means over such draws, so there are
 *                 MOE_POWER_LAW_DRAWS of them.
 * The first rule, of vLLM's tables until 0.14, gave what was missing to the least
 * loaded experts of all, of those alike the last first: of few tokens, most to neighbours on one
 * device. What was above the cap filled one expert after the other.
 * Strays: SGLang's tables until 0.5.10 were measured on the tokens that have any choice on the
 * device, and what they chose elsewhere was given to its first expert. A token's choices are those
 * that the counts give when the experts, the most loaded first, are dealt to the tokens in turn.
 * Groups: a router such as DeepSeek-V3's cuts the experts into `groups` and keeps `kept` of them
 * for a token, those with the largest sum of their two best experts; the token's choices are the
 * best top_k experts of these. Benches that run a framework's own layer so change what they ask
 * for: the choices that a distribution gives have one high score, all others one low score, so that
 * groups with two and more choices come before those with one, and those before others; choices in
 * groups that are not kept become the first experts of those that are. (Equals in the order of
 * their numbers. A balanced token chooses one expert of each of 8 groups: 4 of its choices go to
 * the first four experts.) Which tokens have a choice: dealt as above; of `balanced`, as it says.
 * Since: how long ago an expert's weights were read, in distinct experts that were from then on,
 * itself among them, where the draws are run in turn again and again, each one's experts in the
 * order of their numbers: of a single draw all of its experts. What fits into a cache is still
 * there.
 * Draws come from named random streams keyed by what is asked: the same question, the same loads,
 * whatever else is read. */
#ifndef MOE_PROFILER_ROUTING_DRAWS_H
#define MOE_PROFILER_ROUTING_DRAWS_H

#include "sim/base/base.h"

enum { MOE_POWER_LAW_DRAWS = 5 };

typedef struct moe_spread {
    int64_t tokens, top_k; /* that enter the layer */
    int64_t experts;       /* of all ranks, a multiple of `ranks` */
    int64_t ranks;
    bool strays;   /* tokens that reach the device bring all of their choices, and those of other
                      devices' experts are computed by its first one */
    bool in_order; /* a power law's differences go to (from) experts by their load, whatever their
                      ranks: the first rule */
    int64_t groups, kept; /* of experts, by the router; 0: it has none */
} moe_spread;

/* Loads of the device's experts that have some, draw after draw; ends[i] is where draw i ends. */
typedef struct moe_draws {
    uint32_t *loads, *ends;
    uint32_t *since; /* of each load's expert */
    uint32_t n;      /* draws */
} moe_draws;

/* NULL, or what is wrong (static text): an unknown distribution, or a spread that cannot be. Free
 * with moe_draws_clear. */
const char *moe_draws_make(const moe_spread *spread, const char *distribution, moe_draws *out);
void moe_draws_clear(moe_draws *draws);
/* Whether the text is power_law_a; *exponent is then a. */
bool moe_is_power_law(const char *distribution, double *exponent);

#endif
