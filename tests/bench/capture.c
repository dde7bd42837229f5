/* What recording costs: tokens per second of processor time, with and without, by turns in one
 * process, so that a busy machine does as little as it can. The best turn of each counts.
 *
 *     bench_capture DIR [DECODE [BATCH [LOOKAHEAD [TURNS]]]]     64, 1, 1, 5 unless said
 *
 * Prompts are made up: 4 times BATCH sequences of 128 ids. One thread. */
#include "profiler/capture.h"

#include "sim/base/random.h"
#include "sim/base/units.h"

#include <stdio.h>
#include <time.h>

enum { PROMPT = 128, SEQUENCES = 4 };

typedef struct cost {
    double prompt, decode; /* least seconds of processor time */
} cost;

static double
processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static moe_tokens *
made_up(uint32_t n, uint32_t vocab)
{
    moe_tokens *tokens = moe_tokens_new();
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) text = g_string_new(NULL);
    moe_stream stream = moe_stream_new(1, "bench", 0);
    for (uint32_t i = 0; i < n * PROMPT; i++)
        g_string_append_printf(text, "%u%c", (unsigned)moe_stream_below(&stream, vocab),
                               i % PROMPT == PROMPT - 1 ? '\n' : ' ');
    moe_tokens_read_text(tokens, "made up", text->str, text->len, diag);
    return tokens;
}

/* One turn; false when it failed. */
static bool
turn(const moe_weights *weights, const moe_tokens *tokens, const moe_capture_config *config,
     cost *best)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_capture) capture = moe_capture_new(weights, tokens, config, diag, &error);
    cost spent = {0, 0};
    bool more = capture != NULL, ok = more;
    while (ok && more) {
        uint64_t before = moe_capture_get(capture)->prompt_tokens;
        double began = processor_seconds();
        ok = moe_capture_step(capture, &more, &error);
        double took = processor_seconds() - began;
        bool prompt = moe_capture_get(capture)->prompt_tokens > before;
        *(prompt ? &spent.prompt : &spent.decode) += took;
    }
    if (!ok) {
        g_autofree char *text = moe_diag_render(diag);
        fprintf(stderr, "%s%s\n", text, error ? error->message : "");
        return false;
    }
    best->prompt = MIN(best->prompt, spent.prompt);
    best->decode = MIN(best->decode, spent.decode);
    return true;
}

static void
print(const char *what, double tokens, double with, double without)
{
    if (tokens > 0)
        printf("%-8s %10.0f tokens/s, recorded %10.0f tokens/s, %+.1f%%\n", what, tokens / without,
               tokens / with, 100 * (with / without - 1));
}

int
main(int argc, char **argv)
{
    int64_t numbers[] = {64, 1, 1, 5};
    for (int i = 2; i < argc && i < 6; i++)
        if (!moe_parse_int(argv[i], &numbers[i - 2]))
            return 2;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_weights_set) set = argc > 1 ? moe_weights_open(argv[1], diag, &error) : NULL;
    if (!set) {
        fprintf(stderr, "bench_capture wants the folder of a checkpoint\n");
        return 2;
    }
    const moe_weights *weights = moe_weights_get(set);
    uint32_t batch = (uint32_t)numbers[1], n = SEQUENCES * batch;
    g_autoptr(moe_tokens) tokens = made_up(n, (uint32_t)weights->arch->model->vocab);
    moe_capture_config with = {.decode = (uint32_t)numbers[0],
                               .batch = batch,
                               .chunk = 256,
                               .lookahead = (uint32_t)numbers[2],
                               .threads = 1,
                               .ignore_end = true};
    moe_capture_config without = with;
    without.dry = true;
    cost dry = {1e9, 1e9}, recorded = {1e9, 1e9};
    for (int64_t i = 0; i < numbers[3]; i++)
        if (!turn(weights, tokens, &without, &dry) || !turn(weights, tokens, &with, &recorded))
            return 1;
    print("prefill", (double)n * PROMPT, recorded.prompt, dry.prompt);
    print("decode", (double)n * with.decode, recorded.decode, dry.decode);
    return 0;
}
