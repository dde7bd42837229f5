/* Schedules: which tokens run together, from where in the trace, and what they ask for. */
#include "tests/unit/machine_fixture.h"

/* Steps as text: "p3+2" is a prefill of 3 tokens that admits 2 requests, "d1" decodes one. */
static char *
steps_text(const moe_schedule *schedule)
{
    GString *text = g_string_new(NULL);
    for (uint32_t s = 0; s < schedule->n_steps; s++) {
        const moe_step *step = &schedule->steps[s];
        g_string_append_printf(text, "%s%c%u", s ? " " : "", step->phase == MOE_DECODE ? 'd' : 'p',
                               step->n);
        if (step->admitted)
            g_string_append_printf(text, "+%u", step->admitted);
    }
    return g_string_free(text, false);
}

typedef struct laid_case {
    const char *sequences, *workload, *steps;
    uint32_t measured;
    uint64_t reused;
} laid_case;

static const laid_case laid_cases[] = {
    /* recorded lengths, in file order */
    {"ppd d pd", "{}", "p2+1 d1 d1+1 p1+1 d1", 0, 0},
    {"ddd", "{}", "d1+1 d1 d1", 0, 0},
    {"ppp", "{}", "p3+1", 0, 0},
    {"ppp pp pd", "{batch: 2}", "p5+2 p1+1 d1", 0, 0},
    /* a finished request is replaced at the following step */
    {"ddd d dd d", "{batch: 2}", "d2+2 d2+1 d2 d1+1", 0, 0},
    {"ddd d dd d", "{batch: 3}", "d3+3 d3+1 d1", 0, 0},
    {"d d d", "{batch: 4096}", "d3+3", 0, 0},
    /* the newly admitted prefill together, then all decode */
    {"pddd ppd pppd pd", "{batch: 2}", "p3+2 d2 p3+1 d2 p1+1 d2", 0, 0},
    {"pddd d", "{batch: 2}", "p1+2 d2 d1 d1", 0, 0},
    /* stated lengths: past its end a request goes on in the next sequence */
    {"ppdd ppdd", "{requests: 1, prompt: 4, output: 4}", "p4+1 d1 d1 d1 d1", 0, 0},
    {"ppdd ppdd", "{prompt: 0, output: 1}", "d1+1 d1+1", 0, 0},
    {"ppdd ppdd", "{prompt: 1, output: 1, batch: 2}", "p2+2 d2", 0, 0},
    {"ppdd ppdd", "{requests: 1, prompt: 6, output: 6}", "p6+1 d1 d1 d1 d1 d1 d1", 0, 4},
    /* more requests than sequences: rows are met again */
    {"dd", "{requests: 3, output: 2}", "d1+1 d1 d1+1 d1 d1+1 d1", 0, 4},
    {"d d", "{requests: 4, batch: 4}", "d4+4", 0, 2},
    /* decode rows stand in for prompts */
    {"dddd", "{prompt: 2, output: 2, prefill: from-decode}", "p2+1 d1 d1", 0, 0},
    {"dddd", "{prompt: 3, output: 2, prefill: from-decode}", "p3+1 d1 d1", 0, 1},
    /* warm-up ends with the step in which its last request finishes */
    {"dd d d", "{warmup: 1}", "d1+1 d1 d1+1 d1+1", 2, 0},
    {"dd d d", "{warmup: 2}", "d1+1 d1 d1+1 d1+1", 3, 0},
    {"dd d d", "{warmup: 1, batch: 2}", "d2+2 d2+1", 1, 0},
    {"ppd pd", "{warmup: 1}", "p2+1 d1 p1+1 d1", 2, 0},
    {"pp d", "{warmup: 1}", "p2+1 d1+1", 1, 0},
};

static void
steps_of_workloads(void)
{
    for (size_t i = 0; i < MOE_COUNT(laid_cases); i++) {
        const laid_case *c = &laid_cases[i];
        fixture_trace trace = {2, 8, 2, c->sequences, i, 0};
        g_autofree char *keys = g_strdup_printf("workload: %s\n", c->workload);
        fixture_schedule made = fixture_lay_out(&trace, keys, false);
        MOE_CHECK(made.schedule, "%zu: %s over %s: %s", i, c->workload, c->sequences,
                  made.messages);
        if (made.schedule) {
            g_autofree char *steps = steps_text(made.schedule);
            MOE_CHECK(!strcmp(steps, c->steps), "%zu: %s over '%s': %s, not %s", i, c->workload,
                      c->sequences, steps, c->steps);
            MOE_CHECK(made.schedule->measured == c->measured, "%zu: measured from %u, not %u", i,
                      made.schedule->measured, c->measured);
            MOE_CHECK(made.schedule->reused == c->reused, "%zu: %llu tokens met again, not %llu", i,
                      (unsigned long long)made.schedule->reused, (unsigned long long)c->reused);
        }
        fixture_clear(&made);
    }
}

/* Recorded lengths replay every row of the trace once, in file order. */
static void
recorded_lengths(void)
{
    fixture_trace trace = {1, 4, 1, "ppd d pdd", 3, 0};
    fixture_schedule made = fixture_lay_out(&trace, "seed: 7\n", false);
    static const uint32_t prompt[] = {2, 0, 1}, output[] = {1, 1, 2}, admitted[] = {0, 2, 3},
                          first[] = {0, 2, 3}, last[] = {1, 2, 5}, context[] = {3, 1, 3},
                          contexts[] = {1, 2, 3, 1, 1, 2, 3};
    const moe_schedule *s = made.schedule;
    MOE_CHECK(s && s->n_requests == 3 && s->n_tokens == 7, "%s", made.messages);
    for (uint32_t r = 0; s && r < 3; r++) {
        const moe_request *q = &s->requests[r];
        MOE_CHECK(q->sequence == r && q->prompt == prompt[r] && q->output == output[r] &&
                      q->admitted == admitted[r] && q->first == first[r] && q->last == last[r] &&
                      q->context == context[r] && q->encoder == 0,
                  "request %u: sequence %u, prompt %u, output %u, steps %u %u %u, context %u", r,
                  q->sequence, q->prompt, q->output, q->admitted, q->first, q->last, q->context);
    }
    for (uint32_t t = 0; s && t < 7; t++)
        MOE_CHECK(s->rows[t] == t && s->context[t] == contexts[t], "token %u: row %u, context %u",
                  t, s->rows[t], s->context[t]);
    MOE_CHECK(s && s->peak_context == 3 && s->max_tokens == 2, "peaks");
    fixture_clear(&made);
}

/* A decode-only recording begins at its first recorded position. */
static void
recorded_positions(void)
{
    moe_routing_builder *builder = moe_routing_builder_new(1, 4, 1);
    for (uint16_t i = 0; i < 3; i++)
        moe_routing_builder_add(builder, 9, 100u + i, MOE_DECODE, &i, NULL);
    moe_routing_file *file = moe_routing_builder_finish(builder, "late");
    g_autoptr(moe_settings) settings = moe_settings_new(&moe_config_table);
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_schedule *schedule = moe_schedule_new(moe_routing_get(file), moe_settings_data(settings),
                                              NULL, false, (moe_loc){0}, diag);
    MOE_CHECK(schedule->context[0] == 101 && schedule->context[2] == 103, "contexts %u .. %u",
              schedule->context[0], schedule->context[2]);
    MOE_CHECK(schedule->peak_context == 103, "peak %llu",
              (unsigned long long)schedule->peak_context);
    moe_schedule_free(schedule);
    moe_routing_close(file);
}

/* Requests take each sequence once, in an order that only the seed decides. */
static void
sequence_order(void)
{
    fixture_trace trace = {1, 4, 1, "dd dd dd dd dd dd dd dd", 1, 0};
    char *orders[4];
    static const char *const keys[] = {
        "seed: 1\nworkload: {output: 1}\n", "seed: 1\nworkload: {output: 2, batch: 3}\n",
        "seed: 2\nworkload: {output: 1}\n", "seed: 2\n" /* recorded: file order */};
    for (size_t i = 0; i < 4; i++) {
        fixture_schedule made = fixture_lay_out(&trace, keys[i], false);
        GString *order = g_string_new(NULL);
        uint32_t met = 0;
        for (uint32_t r = 0; r < made.schedule->n_requests; r++) {
            g_string_append_printf(order, "%u", made.schedule->requests[r].sequence);
            met |= 1u << made.schedule->requests[r].sequence;
        }
        MOE_CHECK(met == 0xFF, "%s: sequences %s", keys[i], order->str);
        orders[i] = g_string_free(order, false);
        fixture_clear(&made);
    }
    MOE_CHECK(!strcmp(orders[0], orders[1]), "%s, %s", orders[0], orders[1]);
    MOE_CHECK(strcmp(orders[0], orders[2]) != 0, "%s, %s", orders[0], orders[2]);
    MOE_CHECK(!strcmp(orders[3], "01234567"), "%s", orders[3]);
    for (size_t i = 0; i < 4; i++)
        g_free(orders[i]);
}

/* Later rounds begin at a block-aligned offset, and a row met again is counted. */
static void
later_rounds(void)
{
    GString *sequence = g_string_new(NULL);
    for (int i = 0; i < 200; i++)
        g_string_append_c(sequence, 'd');
    fixture_trace trace = {1, 4, 1, sequence->str, 1, 0};
    fixture_schedule made = fixture_lay_out(&trace, "workload: {requests: 4, output: 10}\n", false);
    const moe_schedule *s = made.schedule;
    g_autofree uint8_t *seen = g_new0(uint8_t, 200);
    uint64_t again = 0;
    for (uint64_t t = 0; t < s->n_tokens; t++) {
        again += seen[s->rows[t]];
        seen[s->rows[t]] = 1;
        if (t % 10 == 0)
            MOE_CHECK(s->rows[t] % 16 == 0 && (t == 0 || s->rows[t] != s->rows[t - 10]),
                      "request %llu begins at row %u", (unsigned long long)t / 10, s->rows[t]);
        else
            MOE_CHECK(s->rows[t] == s->rows[t - 1] + 1, "row %u follows %u", s->rows[t],
                      s->rows[t - 1]);
    }
    MOE_CHECK(s->reused == again, "%llu, not %llu", (unsigned long long)s->reused,
              (unsigned long long)again);
    fixture_clear(&made);
    g_string_free(sequence, true);
}

/* With from-decode a request reads one stretch of decode rows: its prompt, then its output. */
static void
output_follows_prompt(void)
{
    fixture_trace trace = {1, 4, 1, "pdddddd pdddddd", 1, 0};
    fixture_schedule made = fixture_lay_out(
        &trace, "workload: {requests: 1, prompt: 2, output: 3, prefill: from-decode}\n", false);
    const moe_schedule *s = made.schedule;
    for (uint32_t t = 1; t < 5; t++)
        MOE_CHECK(s->rows[t] == s->rows[t - 1] + 1, "row %u after %u", s->rows[t], s->rows[t - 1]);
    MOE_CHECK(s->rows[0] % 7 == 1, "the prompt begins at row %u", s->rows[0]);
    fixture_clear(&made);
}

/* ---- what the steps ask for ---- */

static void
check_group(const moe_schedule *s, uint32_t step, uint32_t layer, const uint32_t *next)
{
    const moe_demand *d = &s->demand;
    uint32_t g = moe_demand_group(d, step, layer);
    uint64_t at = d->first[g];
    uint16_t order[64];
    uint32_t tokens[64] = {0}, n = 0;
    for (uint64_t t = s->steps[step].first; t < s->steps[step].first + s->steps[step].n; t++)
        for (uint32_t j = 0; j < s->routing->k; j++) {
            uint32_t id = moe_routing_id(s->routing, s->rows[t], layer, j), i = 0;
            if (id >= MOE_ROUTING_NOT_RUN)
                break;
            while (i < n && order[i] != id)
                i++;
            if (i == n)
                order[n++] = (uint16_t)id;
            tokens[i]++;
        }
    MOE_CHECK(moe_demand_size(d, g) == n, "group %u: %u members, not %u", g, moe_demand_size(d, g),
              n);
    for (uint32_t i = 0; i < n && moe_demand_size(d, g) == n; i++) {
        uint32_t object = layer * d->n_experts + order[i];
        MOE_CHECK(d->expert[at + i] == order[i] && d->tokens[at + i] == tokens[i] &&
                      d->next_use[at + i] == next[object],
                  "group %u, member %u: expert %u of %u tokens, next use %u; not %u, %u, %u", g, i,
                  d->expert[at + i], d->tokens[at + i], d->next_use[at + i], order[i], tokens[i],
                  next[object]);
    }
}

/* By brute force: groups from the rows; next uses by looking through all later groups. */
static void
check_demand(const moe_schedule *s)
{
    const moe_demand *d = &s->demand;
    uint32_t n_objects = d->n_layers * d->n_experts, n_groups = d->n_steps * d->n_layers;
    g_autofree uint32_t *next = g_new(uint32_t, n_objects);
    MOE_CHECK(d->n_steps == s->n_steps, "%u steps", d->n_steps);
    for (uint32_t g = 0; g < n_groups; g++) {
        for (uint32_t o = 0; o < n_objects; o++) {
            next[o] = MOE_NONE;
            for (uint32_t later = n_groups; later-- > g + 1;)
                for (uint64_t i = d->first[later]; i < d->first[later + 1]; i++)
                    if (later % d->n_layers * d->n_experts + d->expert[i] == o)
                        next[o] = later;
        }
        check_group(s, g / d->n_layers, g % d->n_layers, next);
    }
    for (uint32_t step = 0; step < s->n_steps; step++)
        MOE_CHECK(d->step_tokens[step] == s->steps[step].n, "step %u", step);
}

/* Largest sum of the KV tokens that requests in flight will hold when they end. */
static void
check_peaks(const moe_schedule *s)
{
    uint64_t context = 0, encoder = 0;
    uint32_t most = 0;
    for (uint32_t step = 0; step < s->n_steps; step++) {
        uint64_t now = 0, encoded = 0;
        for (uint32_t r = 0; r < s->n_requests; r++) {
            const moe_request *q = &s->requests[r];
            bool flies = q->admitted <= step && step <= q->last;
            now += flies ? MAX(q->context, q->prompt) : 0;
            encoded += flies ? q->encoder : 0;
        }
        context = MAX(context, now);
        encoder = MAX(encoder, encoded);
        most = MAX(most, s->steps[step].n);
    }
    MOE_CHECK(s->peak_context == context && s->peak_encoder == encoder && s->max_tokens == most,
              "peaks %llu %llu %u, not %llu %llu %u", (unsigned long long)s->peak_context,
              (unsigned long long)s->peak_encoder, s->max_tokens, (unsigned long long)context,
              (unsigned long long)encoder, most);
}

static void
demand_by_brute_force(void)
{
    static const char *const sequences[] = {"ppdd pd dddd", "d", "pppp", "dd dd dd dd dd",
                                            "pddd ppd d pppdd"};
    static const char *const workloads[] = {
        "{}", "{batch: 3}", "{output: 4, prompt: 0, batch: 2}",
        "{requests: 7, prompt: 3, output: 2, batch: 4, prefill: from-decode}"};
    for (uint32_t i = 0; i < MOE_COUNT(sequences) * MOE_COUNT(workloads) * 4; i++) {
        uint32_t k = 1 + i % 3;
        fixture_trace trace = {1 + i % 2, k + i % 5, k, sequences[i % 5], i, i % 4 ? 0.2 : 0};
        g_autofree char *keys = g_strdup_printf("workload: %s\n", workloads[i / 5 % 4]);
        bool decodes = strchr(trace.sequences, 'd') != NULL;
        if (i / 5 % 4 > 1 && !decodes)
            continue; /* an error, see below */
        fixture_schedule made = fixture_lay_out(&trace, keys, false);
        MOE_CHECK(made.schedule, "%s", made.messages);
        if (made.schedule) {
            check_demand(made.schedule);
            check_peaks(made.schedule);
        }
        fixture_clear(&made);
    }
}

/* The slice at the trace's start whose popularity is known. */
static void
popularity(void)
{
    static const struct {
        const char *profile;
        uint32_t sequences;
    } cases[] = {{"0", 0}, {"10%", 0}, {"25%", 1}, {"50%", 2}, {"60%", 2}, {"100%", 4}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        fixture_trace trace = {2, 5, 2, "pd dd ppd d", 5, 0.2};
        g_autofree char *keys = g_strdup_printf("routing: {profile: %s}\n", cases[i].profile);
        fixture_schedule made = fixture_lay_out(&trace, keys, false);
        const moe_routing *routing = moe_routing_get(made.file);
        uint32_t counts[10] = {0};
        for (uint64_t row = 0; row < routing->n_tokens; row++)
            for (uint32_t l = 0; l < 2; l++)
                for (uint32_t j = 0; j < 2; j++) {
                    uint32_t id = moe_routing_id(routing, row, l, j);
                    if (routing->sequence[row] < cases[i].sequences && id < 5)
                        counts[l * 5 + id]++;
                }
        MOE_CHECK(made.schedule && !memcmp(made.schedule->popularity, counts, sizeof counts),
                  "profile %s", cases[i].profile);
        fixture_clear(&made);
    }
}

/* An encoder takes the prompts: a step of its own that processes no decoder token. */
static void
encoder_decoder(void)
{
    fixture_trace trace = {1, 4, 1, "ppd ppppdd", 1, 0};
    fixture_schedule made = fixture_lay_out(&trace, "workload: {batch: 2}\n", true);
    g_autofree char *steps = steps_text(made.schedule);
    const moe_request *q = made.schedule->requests;
    MOE_CHECK(!strcmp(steps, "p0+2 d2 d1"), "%s", steps);
    MOE_CHECK(q[0].encoder == 2 && q[1].encoder == 4 && !q[0].prompt && !q[1].prompt, "prompts");
    MOE_CHECK(q[0].admitted == 0 && q[0].first == 1 && q[1].last == 2, "steps");
    MOE_CHECK(q[0].context == 1 && q[1].context == 2, "contexts %u %u", q[0].context, q[1].context);
    check_demand(made.schedule);
    check_peaks(made.schedule);
    MOE_CHECK(made.schedule->peak_encoder == 6, "encoder");
    fixture_clear(&made);
    made = fixture_lay_out(&trace, "workload: {prompt: 0, output: 1}\n", true);
    g_autofree char *without = steps_text(made.schedule);
    MOE_CHECK(!strcmp(without, "d1+1 d1+1"), "%s", without);
    fixture_clear(&made);
}

static void
messages(void)
{
    static const struct {
        const char *sequences, *workload, *message;
    } cases[] = {
        {"dd", "{prompt: 4, output: 2}",
         "the trace tiny has no prefill tokens, but 'workload.prompt' is 4; use 'prompt: "
         "recorded', or 'prefill: from-decode' to let decode routing stand in"},
        {"pp", "{output: 3}", "the trace tiny has no decode tokens, but 'workload.output' is 3"},
        {"dd d", "{warmup: 2}",
         "nothing is left to measure: the first 2 of 2 requests, which are warm-up, end with the "
         "last of its 3 steps"},
        {"dd d", "{warmup: 3}",
         "nothing is left to measure: the first 3 of 2 requests, which are warm-up, end with the "
         "last of its 3 steps"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        fixture_trace trace = {1, 4, 1, cases[i].sequences, 1, 0};
        g_autofree char *keys = g_strdup_printf("workload: %s\n", cases[i].workload);
        g_autofree char *wanted = g_strdup_printf("tiny.yaml:3:7: error: %s\n", cases[i].message);
        fixture_schedule made = fixture_lay_out(&trace, keys, false);
        MOE_CHECK(!made.schedule && !strcmp(made.messages, wanted), "%zu: %s\nnot %s", i,
                  made.messages, wanted);
        fixture_clear(&made);
    }
}

MOE_TESTS({"steps of workloads", steps_of_workloads}, {"recorded lengths", recorded_lengths},
          {"recorded positions", recorded_positions}, {"sequence order", sequence_order},
          {"later rounds", later_rounds}, {"output follows prompt", output_follows_prompt},
          {"demand by brute force", demand_by_brute_force}, {"popularity", popularity},
          {"encoder-decoder", encoder_decoder}, {"messages", messages})
