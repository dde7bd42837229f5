/* window: as many experts of the next layer as can arrive before its gate is known.
 *
 * The time until then, less a margin, divided by one expert's load time says how many; the
 * forecast's ranking says which. The list may be longer than what the layer will demand: spare
 * time is spent on less probable experts. It reads times, so it is `timed`.
 *
 * Fang et al., Fate: fast edge inference of Mixture-of-Experts models via cross-layer gate, 2025.
 */
#include "sim/policy/prefetch/buffer.h"

typedef struct window_config {
    double margin;
} window_config;

struct window {
    window_config config;
    moe_forecast_buffer buffer;
};

static const moe_param window_rows[] = {
    {"margin", MOE_PARAM_SHARE, offsetof(window_config, margin), "0%", 0, 1,
     .flags = MOE_PARAM_IDENTITY, .help = "Share of the window that is left unplanned."},
};

static void *
window_open(const void *config)
{
    struct window *window = moe_policy_alloc(1, sizeof *window);
    window->config = *(const window_config *)config;
    return window;
}

static void
window_close(void *state)
{
    free(((struct window *)state)->buffer.items);
    free(state);
}

static size_t
window_fits(const struct window *window, const moe_prefetch_query *query, size_t max)
{
    if (query->window_ps <= 0)
        return 0;
    if (query->load_ps <= 0)
        return max;
    double usable = (double)query->window_ps * (1 - window->config.margin);
    double fits = usable / (double)query->load_ps;
    return fits < (double)max ? (size_t)fits : max;
}

static size_t
window_want(void *state, const moe_prefetch_query *query, moe_want *out, size_t max)
{
    struct window *window = state;
    uint32_t target = query->layer + 1;
    size_t fits = window_fits(window, query, max);
    if (target >= query->n_layers || !fits)
        return 0;
    size_t n = moe_forecast_ask(&window->buffer, query, target);
    n = n < fits ? n : fits;
    for (size_t i = 0; i < n; i++)
        out[i] = (moe_want){target, window->buffer.items[i].expert};
    return n;
}

static const moe_prefetch_ops window_ops = {
    .timed = true,
    .predicts = true,
    .open = window_open,
    .close = window_close,
    .want = window_want,
};

const moe_variant moe_prefetch_window = {
    .name = "window",
    .help = "Want as many forecast experts of the next layer as can arrive before its gate is "
            "known.",
    .rows = window_rows,
    .n_rows = MOE_COUNT(window_rows),
    .config_size = sizeof(window_config),
    .ops = &window_ops,
};
