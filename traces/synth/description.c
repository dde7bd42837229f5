#include "traces/synth/description.h"

#include "sim/base/elementary.h"
#include "traces/synth/normal.h"

#include <math.h>
#include <string.h>

#define MOST_CELLS (1 << 22)
#define MOST_LOADINGS (1 << 28)

struct moe_description {
    moe_yaml_doc *doc;
    moe_settings *settings;
    moe_hidden *hidden;
};

typedef struct reading {
    const moe_generate_config *config;
    const moe_yaml *root;
    moe_hidden *hidden;
    moe_diag *diag;
} reading;

/* ---- numbers in texts ---- */

/* Where a key of a layer's router stands, or as near as possible. */
static moe_loc
router_place(const reading *r, uint32_t layer, const char *key)
{
    const moe_yaml *router = moe_yaml_get(r->root, "router");
    if (!router)
        return r->root->loc;
    if (router->kind != MOE_YAML_LIST || layer >= router->n)
        return router->loc;
    const moe_yaml *entry = &router->items[layer];
    const moe_yaml *value = entry->kind == MOE_YAML_MAP ? moe_yaml_get(entry, key) : NULL;
    return value ? value->loc : entry->loc;
}

/* A number of hundredths such as "-31"; advances *at past it and the blanks before it. */
static bool
read_hundredths(const char **at, float *out)
{
    const char *p = *at;
    int64_t value = 0;
    bool minus = *p == '-';
    p += minus;
    const char *digits = p;
    for (; *p >= '0' && *p <= '9' && p - digits < 7; p++)
        value = value * 10 + (*p - '0');
    if (p == digits || (*p && !g_ascii_isspace(*p)))
        return false;
    *at = p;
    *out = (float)(minus ? -value : value) / 100;
    return true;
}

/* `rows` rows of n_experts numbers into out, row r at out + r * stride; false after a message. */
static bool
read_numbers(const reading *r, uint32_t layer, const char *key, const char *text, uint32_t rows,
             float *out, size_t stride)
{
    const uint32_t n_experts = r->hidden->n_experts;
    uint64_t n = 0, wanted = (uint64_t)rows * n_experts;
    const char *at = text;
    for (;; n++) {
        while (g_ascii_isspace(*at))
            at++;
        if (!*at)
            break;
        float value;
        if (!read_hundredths(&at, &value)) {
            moe_diag_error(r->diag, router_place(r, layer, key),
                           "'%s' of layer %u: number %" G_GUINT64_FORMAT
                           " is '%.12s', not whole hundredths such as -31",
                           key, layer, n + 1, at);
            return false;
        }
        if (n < wanted)
            out[n / n_experts * stride + n % n_experts] = value;
    }
    if (n == wanted)
        return true;
    moe_diag_error(r->diag, router_place(r, layer, key),
                   "'%s' of layer %u has %" G_GUINT64_FORMAT " numbers, not %u for each of %u "
                   "experts",
                   key, layer, n, rows, n_experts);
    return false;
}

/* ---- what is not said ---- */

static void
draw_loadings(const reading *r, uint32_t layer, const float *normal)
{
    const moe_hidden *hidden = r->hidden;
    size_t cells = (size_t)hidden->n_layers * hidden->n_experts;
    moe_stream stream = moe_stream_new((uint64_t)r->config->seed, "loadings", layer);
    float *row = hidden->loadings + (size_t)layer * hidden->n_experts;
    for (uint32_t c = 0; c < hidden->n_components; c++) {
        const moe_hidden_component *component = &hidden->components[c];
        float scale = (float)(component->spread / sqrt((double)component->rank));
        for (int64_t i = 0; i < component->rank; i++, row += cells)
            for (uint32_t e = 0; e < hidden->n_experts; e++)
                row[e] = scale * normal[moe_stream_below(&stream, MOE_NORMAL_SIZE)];
    }
}

/* Standard deviation of all that varies in the score of a layer's expert. */
static double
score_spread(const moe_hidden *hidden, uint32_t layer, uint32_t expert)
{
    size_t cells = (size_t)hidden->n_layers * hidden->n_experts;
    size_t cell = (size_t)layer * hidden->n_experts + expert;
    double variance = (double)hidden->noise[cell] * (double)hidden->noise[cell];
    for (uint32_t i = 0; i < hidden->n_numbers; i++) {
        double loading = hidden->loadings[i * cells + cell];
        variance += loading * loading;
    }
    return sqrt(variance);
}

/* An order of the experts of the layer's own (Fisher-Yates). Rank n has the mean score -skew ln n
 * in units of the spread of a score over that of the Gumbel distribution, pi / sqrt 6: with Gumbel
 * noise of that spread the popularity would be n^-skew. */
static void
skewed_bias(const reading *r, uint32_t layer, double skew)
{
    moe_hidden *hidden = r->hidden;
    moe_stream stream = moe_stream_new((uint64_t)r->config->seed, "order", layer);
    g_autofree uint32_t *order = g_new(uint32_t, hidden->n_experts);
    for (uint32_t e = 0; e < hidden->n_experts; e++) {
        uint32_t at = (uint32_t)moe_stream_below(&stream, e + 1);
        order[e] = order[at];
        order[at] = e;
    }
    for (uint32_t rank = 0; rank < hidden->n_experts; rank++) {
        uint32_t e = order[rank];
        double unit = score_spread(hidden, layer, e) / 1.28254983016186409;
        hidden->bias[(size_t)layer * hidden->n_experts + e] =
            (float)(-skew * moe_ln(rank + 1) * unit);
    }
}

/* ---- the hidden state ---- */

static void
read_layer(const reading *r, uint32_t layer, const moe_generate_router *router, double skew,
           const float *normal)
{
    moe_hidden *hidden = r->hidden;
    size_t first = (size_t)layer * hidden->n_experts;
    for (uint32_t e = 0; e < hidden->n_experts; e++)
        hidden->noise[first + e] = (float)r->config->noise;
    if (router && router->noise)
        read_numbers(r, layer, "noise", router->noise, 1, hidden->noise + first, 0);
    draw_loadings(r, layer, normal);
    if (router && router->loadings)
        read_numbers(r, layer, "loadings", router->loadings, hidden->n_numbers,
                     hidden->loadings + first, (size_t)hidden->n_layers * hidden->n_experts);
    if (router && router->skew >= 0)
        skew = router->skew;
    if (router && router->bias)
        read_numbers(r, layer, "bias", router->bias, 1, hidden->bias + first, 0);
    else
        skewed_bias(r, layer, skew);
    if (router && router->pairs) {
        if (moe_hidden_pair(hidden))
            read_numbers(r, layer, "pairs", router->pairs, hidden->n_experts,
                         hidden->pairs + first * hidden->n_experts, hidden->n_experts);
        else
            moe_diag_error(r->diag, router_place(r, layer, "pairs"), "no memory for 'pairs'");
    }
    hidden->sharpness[layer] = router ? (float)router->sharpness : 0;
    hidden->weighted |= hidden->sharpness[layer] > 0;
}

static void
read_layers(const reading *r)
{
    const moe_generate_config *config = r->config;
    const moe_generate_router *routers = config->router.items;
    moe_stream stream = moe_stream_new((uint64_t)config->seed, "skew", 0);
    g_autofree float *normal = g_new(float, MOE_NORMAL_SIZE);
    moe_normal_table(normal);
    bool some = false, all = true;
    for (uint32_t l = 0; l < r->hidden->n_layers; l++) {
        double skew =
            config->skew_min + (config->skew_max - config->skew_min) * moe_stream_unit(&stream);
        const moe_generate_router *router = l < config->router.n ? &routers[l] : NULL;
        read_layer(r, l, router, skew, normal);
        some |= router && router->bias;
        all &= router && router->bias;
    }
    if (some && !all)
        moe_diag_error(r->diag, router_place(r, MOE_NONE, NULL),
                       "'bias' is wanted for all layers or for none");
}

static void
read_opening(const reading *r, uint32_t i, const moe_generate_opening *opening)
{
    moe_hidden *hidden = r->hidden;
    moe_loc where = moe_yaml_get(r->root, "opening")->items[i].loc;
    size_t n = 0, choices = (size_t)hidden->n_layers * hidden->k;
    uint16_t *out = hidden->opening + i * choices;
    const char *at = opening->experts;
    hidden->opening_share[i] = opening->share;
    for (; *at; n++) {
        char *end;
        guint64 id = g_ascii_strtoull(at, &end, 10);
        if (end == at || id >= hidden->n_experts || n >= choices) {
            moe_diag_error(r->diag, where,
                           "'experts': wants %zu numbers of experts 0 .. %u, not '%.12s'", choices,
                           hidden->n_experts - 1, at);
            return;
        }
        for (size_t j = n - n % hidden->k; j < n; j++)
            if (out[j] == id) {
                moe_diag_error(r->diag, where, "'experts': layer %zu has expert %u twice",
                               n / hidden->k, (unsigned)id);
                return;
            }
        out[n] = (uint16_t)id;
        at = end + strspn(end, " \t\r\n");
    }
    if (n != choices)
        moe_diag_error(r->diag, where, "'experts': %zu numbers, not %u for each of %u layers", n,
                       hidden->k, hidden->n_layers);
}

static bool
says_hidden(const moe_generate_config *config)
{
    const moe_generate_router *router = config->router.items;
    bool says = config->components.n > 0 || config->opening.n > 0;
    for (size_t l = 0; l < config->router.n; l++)
        says |= router[l].bias || router[l].noise || router[l].loadings || router[l].pairs ||
                router[l].sharpness > 0;
    return says;
}

static moe_hidden *
read_hidden(reading *r)
{
    const moe_generate_config *config = r->config;
    const moe_hidden_component *components = config->components.items;
    int64_t numbers = 0;
    for (size_t c = 0; c < config->components.n; c++)
        numbers += components[c].rank;
    if (numbers > MOE_HIDDEN_RANK) {
        moe_diag_error(r->diag, moe_yaml_get(r->root, "hidden")->loc,
                       "a hidden state of %d numbers; at most %d", (int)numbers, MOE_HIDDEN_RANK);
        return NULL;
    }
    int64_t cells = config->layers * config->experts;
    if (cells > MOST_CELLS || cells * (numbers + 4) > MOST_LOADINGS) {
        moe_diag_error(r->diag, r->root->loc,
                       "%d layers of %d experts are too many for a hidden state of %d numbers",
                       (int)config->layers, (int)config->experts, (int)numbers);
        return NULL;
    }
    r->hidden = moe_hidden_new((uint32_t)config->layers, (uint32_t)config->experts,
                               (uint32_t)config->top_k, components, (uint32_t)config->components.n);
    if (!r->hidden) {
        moe_diag_error(r->diag, r->root->loc, "no memory for the hidden state");
        return NULL;
    }
    read_layers(r);
    const moe_generate_opening *opening = config->opening.items;
    moe_hidden_open(r->hidden, (uint32_t)config->opening.n);
    for (uint32_t i = 0; i < config->opening.n; i++)
        read_opening(r, i, &opening[i]);
    return r->hidden;
}

/* ---- reading ---- */

static bool
description_read(moe_description *d, moe_diag *diag)
{
    const moe_yaml *root = moe_yaml_root(d->doc);
    unsigned before = moe_diag_errors(diag);
    if (root->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, root->loc, "a description of routing is a map of keys, not %s",
                       moe_yaml_kind_name(root->kind));
        return false;
    }
    d->settings = moe_settings_new(moe_generate_table());
    moe_settings_read(d->settings, root, NULL, true, diag);
    moe_generate_config *config = moe_settings_data(d->settings);
    if (moe_diag_errors(diag) != before || !moe_generate_check(config, root->loc, diag))
        return false;
    if (config->router.n && config->router.n != (size_t)config->layers) {
        moe_diag_error(diag, moe_yaml_get(root, "router")->loc,
                       "%zu entries, but there are %d layers", config->router.n,
                       (int)config->layers);
        return false;
    }
    reading r = {.config = config, .root = root, .diag = diag};
    if (says_hidden(config))
        config->hidden = d->hidden = read_hidden(&r);
    return moe_diag_errors(diag) == before && moe_generate_check(config, root->loc, diag);
}

static moe_description *
description_new(moe_yaml_doc *doc, moe_diag *diag)
{
    if (!doc)
        return NULL;
    moe_description *d = g_new0(moe_description, 1);
    d->doc = doc;
    if (description_read(d, diag))
        return d;
    moe_description_free(d);
    return NULL;
}

moe_description *
moe_description_load(const char *path, moe_diag *diag, GError **error)
{
    return description_new(moe_yaml_load(path, diag, error), diag);
}

moe_description *
moe_description_parse(const char *name, const char *text, size_t length, moe_diag *diag)
{
    return description_new(moe_yaml_parse(name, text, length, diag), diag);
}

void
moe_description_free(moe_description *d)
{
    if (!d)
        return;
    g_clear_pointer(&d->settings, moe_settings_free);
    moe_hidden_free(d->hidden);
    moe_yaml_free(d->doc);
    g_free(d);
}

moe_generate_config *
moe_description_config(moe_description *d)
{
    return moe_settings_data(d->settings);
}
