#include "traces/routing_file.h"

#include "sim/base/text.h"

#include <string.h>

static void
describe_layers(const moe_routing *r, GString *out)
{
    uint32_t first = r->layer_ids[0], last = r->layer_ids[r->n_layers - 1];
    g_string_append_printf(out, "layers       %u", r->n_layers);
    if (last - first + 1 == r->n_layers) {
        g_string_append_printf(out, first ? " (numbers %u .. %u)\n" : "\n", first, last);
        return;
    }
    g_string_append(out, " (numbers");
    for (uint32_t i = 0; i < r->n_layers; i++)
        g_string_append_printf(out, " %u", r->layer_ids[i]);
    g_string_append(out, ")\n");
}

static void
describe_sequences(const moe_routing *r, GString *out)
{
    uint64_t shortest = UINT64_MAX, longest = 0;
    for (uint32_t s = 0; s < r->n_sequences; s++) {
        uint64_t n = r->sequence_first[s + 1] - r->sequence_first[s];
        shortest = MIN(shortest, n);
        longest = MAX(longest, n);
    }
    g_string_append_printf(
        out, "sequences    %u, of %" G_GUINT64_FORMAT " .. %" G_GUINT64_FORMAT " tokens%s\n",
        r->n_sequences, shortest, longest,
        r->rows ? " (rows not in order of sequence and position)" : "");
}

/* What the rows hold: uses of each expert, rows that are not full. */
typedef struct describe_counts {
    uint64_t empty, not_run;
    double low, high, mean; /* busiest expert over the mean, of the layers */
} describe_counts;

static void
describe_count_rows(const moe_routing *r, uint32_t from, uint32_t to, uint64_t *counts,
                    describe_counts *c)
{
    for (uint64_t row = 0; row < r->n_tokens; row++) {
        for (uint32_t layer = from; layer < to; layer++) {
            uint64_t *count = counts + (size_t)(layer - from) * r->n_experts;
            uint32_t id = MOE_ROUTING_NO_EXPERT;
            for (uint32_t j = 0; j < r->k; j++) {
                id = moe_routing_id(r, row, layer, j);
                if (id >= MOE_ROUTING_NOT_RUN)
                    break;
                count[id]++;
            }
            c->empty += id == MOE_ROUTING_NO_EXPERT;
            c->not_run += id == MOE_ROUTING_NOT_RUN;
        }
    }
}

static void
describe_add_layer(const moe_routing *r, uint32_t layer, const uint64_t *count, describe_counts *c)
{
    uint64_t sum = 0, most = 0;
    for (uint32_t e = 0; e < r->n_experts; e++) {
        sum += count[e];
        most = MAX(most, count[e]);
    }
    double ratio = sum ? (double)most * r->n_experts / (double)sum : 0;
    c->low = layer == 0 ? ratio : MIN(c->low, ratio);
    c->high = MAX(c->high, ratio);
    c->mean += ratio / r->n_layers;
}

/* How evenly the experts are used, a few layers at a time where layers x experts are many. */
static void
describe_balance(const moe_routing *r, GString *out)
{
    uint32_t at_once = MIN(r->n_layers, MAX(1, (1u << 22) / r->n_experts));
    g_autofree uint64_t *counts = g_new(uint64_t, (gsize)at_once * r->n_experts);
    describe_counts c = {0};
    for (uint32_t from = 0; from < r->n_layers; from += at_once) {
        uint32_t to = MIN(from + at_once, r->n_layers);
        memset(counts, 0, (size_t)at_once * r->n_experts * sizeof *counts);
        describe_count_rows(r, from, to, counts, &c);
        for (uint32_t layer = from; layer < to; layer++)
            describe_add_layer(r, layer, counts + (size_t)(layer - from) * r->n_experts, &c);
    }
    g_string_append_printf(out,
                           "balance      busiest expert %.2f x the mean (layers: %.2f .. %.2f)\n",
                           c.mean, c.low, c.high);
    if (c.empty)
        g_string_append_printf(out, "short rows   %" G_GUINT64_FORMAT "\n", c.empty);
    if (c.not_run)
        g_string_append_printf(out, "not run      %" G_GUINT64_FORMAT " token-layers\n", c.not_run);
}

/* "domains      2: code 300, prose 12": how many tokens each label has. */
static void
describe_labels(const moe_routing *r, const char *what, const uint16_t *wide, const uint8_t *narrow,
                uint32_t n, const char *const *names, GString *out)
{
    enum { SHOWN = 12 };
    g_autofree uint64_t *counts = g_new0(uint64_t, n);
    for (uint64_t i = 0; i < r->n_tokens; i++)
        counts[wide ? wide[i] : narrow[i]]++;
    g_string_append_printf(out, "%-12s %u:", what, n);
    for (uint32_t i = 0; i < MIN(n, SHOWN); i++) {
        g_autofree char *shown = names ? moe_text_visible(names[i], strlen(names[i])) : NULL;
        g_string_append(out, i ? ", " : " ");
        if (shown)
            g_string_append_printf(out, "%s %" G_GUINT64_FORMAT, shown, counts[i]);
        else
            g_string_append_printf(out, "%u: %" G_GUINT64_FORMAT, i, counts[i]);
    }
    g_string_append(out, n > SHOWN ? ", …\n" : "\n");
}

static void
describe_absent(const moe_routing *r, GString *out)
{
    uint64_t n = (uint64_t)r->n_layers * r->n_experts, absent = 0;
    for (uint64_t i = 0; i < n; i++)
        absent += r->absent[i];
    g_string_append_printf(out,
                           "absent       %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                           " experts: pruned, or merged into others\n",
                           absent, n);
}

static void
describe_lookahead(const moe_routing *r, uint32_t i, GString *out)
{
    const moe_lookahead *l = &r->lookahead[i];
    g_string_append_printf(out, "look-ahead   %u layer%s ahead, %u ids%s, recall %.3f\n",
                           l->distance, l->distance == 1 ? "" : "s", l->k,
                           l->weights ? " with weights" : "", moe_routing_recall(r, i));
}

/* The mean over the layers that have a layer so far back, for each distance. */
static void
describe_similarity(const moe_routing *r, GString *out)
{
    g_string_append(out, "similarity   of what layers see:");
    for (uint32_t d = 1; d <= MIN(r->n_similarity, MOE_ROUTING_MAX_LOOKAHEAD); d++) {
        double sum = 0;
        for (uint32_t l = d; l < r->n_layers; l++)
            sum += (double)r->similarity[(size_t)l * r->n_similarity + d - 1];
        if (d < r->n_layers)
            g_string_append_printf(out, "%s %.3f %u layer%s apart", d > 1 ? "," : "",
                                   sum / (r->n_layers - d), d, d > 1 ? "s" : "");
    }
    g_string_append_c(out, '\n');
}

/* The shares of the stages. */
static void
describe_times(const moe_routing *r, GString *out)
{
    double sums[MOE_ROUTING_MAX_STAGES] = {0}, all = 0;
    uint64_t n = (uint64_t)r->n_time_steps * r->n_time_layers;
    for (uint64_t i = 0; i < n; i++)
        for (uint32_t s = 0; s < r->n_stages; s++)
            sums[s] += (double)r->times[i * r->n_stages + s];
    for (uint32_t s = 0; s < r->n_stages; s++)
        all += sums[s];
    g_string_append_printf(out, "stage times  %u steps, %.4g s:", r->n_time_steps, all * 1e-9);
    for (uint32_t s = 0; s < r->n_stages; s++)
        g_string_append_printf(out, "%s %s %.1f%%", s ? "," : "", r->stage_names[s],
                               all > 0 ? 100 * sums[s] / all : 0);
    g_string_append_c(out, '\n');
}

/* Tensors that the file holds and the routing does not use. */
static void
describe_others(const moe_routing_file *file, GString *out)
{
    static const char *const known[] = {"expert_ids", "gate_weights",    "router_logits",
                                        "sequence",   "position",        "step",
                                        "phase",      "domain",          "modality",
                                        "token_id",   MOE_ROUTING_TIMES, MOE_ROUTING_SIMILARITY};
    for (size_t i = 0; file->tensors && i < moe_safetensors_count(file->tensors); i++) {
        const moe_tensor *tensor = moe_safetensors_at(file->tensors, i);
        bool used = g_str_has_prefix(tensor->name, "lookahead.");
        for (size_t j = 0; j < MOE_COUNT(known); j++)
            used |= strcmp(known[j], tensor->name) == 0;
        if (used)
            continue;
        g_autofree char *shape = moe_tensor_shape_text(tensor);
        g_string_append_printf(out, "not used     tensor %s, %s\n", tensor->name, shape);
    }
}

/* Free texts come from files: what could move a terminal's cursor is shown as a space. */
static void
describe_meta(const moe_routing_file *file, GString *out)
{
    static const char *const shown[] = {
        "format",  "version",    "layer_ids",        "experts",         "top_k",
        "domains", "modalities", MOE_ROUTING_ABSENT, MOE_ROUTING_STAGES};
    for (size_t i = 0; i < file->n_meta; i++) {
        bool skip = false;
        for (size_t j = 0; j < MOE_COUNT(shown); j++)
            skip |= strcmp(shown[j], file->meta[i].key) == 0;
        if (skip)
            continue;
        g_autofree char *value = g_strndup(file->meta[i].value, strlen(file->meta[i].value));
        for (char *c = value; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7F)
                *c = ' ';
        g_string_append_printf(out, "%-12s %s\n", file->meta[i].key, value);
    }
}

void
moe_routing_describe(const moe_routing_file *file, GString *out)
{
    const moe_routing *r = &file->routing;
    g_string_append_printf(out, "trace        %s\n", r->path);
    g_string_append_printf(out,
                           "tokens       %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT
                           " prefill, %" G_GUINT64_FORMAT " decode)\n",
                           r->n_tokens, r->n_prefill, r->n_tokens - r->n_prefill);
    if (r->n_tokens == 0)
        return;
    describe_sequences(r, out);
    describe_layers(r, out);
    g_string_append_printf(out, "experts      %u, top-%u, ids of %u byte%s\n", r->n_experts, r->k,
                           r->id_bytes, r->id_bytes == 1 ? "" : "s");
    if (r->absent)
        describe_absent(r, out);
    describe_balance(r, out);
    g_string_append_printf(out, "weights      %s\n", r->weights ? "yes" : "no");
    g_string_append_printf(out, "steps        %s\n", r->step ? "yes" : "no");
    if (r->logits)
        g_string_append_printf(out, "logits       of all %u experts\n", r->n_experts);
    if (r->token_id)
        g_string_append(out, "token ids    yes\n");
    if (r->domain)
        describe_labels(r, "domains", r->domain, NULL, r->n_domains, r->domain_names, out);
    if (r->modality)
        describe_labels(r, "modalities", NULL, r->modality, r->n_modalities, r->modality_names,
                        out);
    for (uint32_t i = 0; i < r->n_lookahead; i++)
        describe_lookahead(r, i, out);
    if (r->similarity)
        describe_similarity(r, out);
    if (r->times)
        describe_times(r, out);
    describe_meta(file, out);
    describe_others(file, out);
}
