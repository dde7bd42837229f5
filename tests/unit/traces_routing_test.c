#include "tests/test.h"

#include "traces/routing.h"
#include "traces/safetensors.h"

#include <glib/gstdio.h>

/* A small trace, spelled out: 4 tokens, 2 layers, top-2 of 4 experts. Each case changes one thing
 * by replacing a part of the header or a byte of the data. */
#define META                                                                                       \
    "\"__metadata__\":{\"format\":\"moesim-routing\",\"version\":\"1\",\"layer_ids\":\"[1,3]\","   \
    "\"experts\":\"4\",\"top_k\":\"2\",\"model\":\"m\"}"
#define HEADER                                                                                     \
    "{" META ",\"sequence\":{\"dtype\":\"U32\",\"shape\":[4],\"data_offsets\":[0,16]},"            \
    "\"position\":{\"dtype\":\"U32\",\"shape\":[4],\"data_offsets\":[16,32]},"                     \
    "\"gate_weights\":{\"dtype\":\"F16\",\"shape\":[4,2,2],\"data_offsets\":[32,64]},"             \
    "\"expert_ids\":{\"dtype\":\"U8\",\"shape\":[4,2,2],\"data_offsets\":[64,80]},"                \
    "\"lookahead.1\":{\"dtype\":\"U8\",\"shape\":[4,2,1],\"data_offsets\":[80,88]},"               \
    "\"phase\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[88,92]},"                         \
    "\"prompt_id\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[92,96]}}"

enum { SEQUENCE = 0, POSITION = 16, WEIGHTS = 32, IDS = 64, LOOKAHEAD = 80, PHASE = 88, DATA = 96 };

static const uint8_t
    data[DATA] =
        {
            7,    0,    0,    0,    7,    0,    0,    0,    9,    0,
            0,    0,    9,    0,    0,    0, /* sequence */
            5,    0,    0,    0,    6,    0,    0,    0,    0,    0,
            0,    0,    1,    0,    0,    0,                         /* position */
            0x00, 0x3C, 0x00, 0x38, 0x00, 0x34, 0xFF, 0x7B, 0x01, 0, /* gate_weights */
            0,    0xBC, 0,    0,    0,    0,    0,    0,    0,    0,
            0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
            0,    0,    0,    1,    2,    3,    3,    0xFF, 0xFE, 0xFE, /* expert_ids */
            0xFF, 0xFF, 1,    0,    0,    2,    3,    1,    0xFF, 2,
            0xFF, 0xFF, 0xFF, 0,    0xFF, 1, /* lookahead.1 */
            0,    1,    0,    1,             /* phase */
            0,    0,    0,    0,
};

typedef struct change {
    const char *from, *to; /* in the header; NULL: nothing */
    int at;                /* in the data; -1: nothing */
    uint8_t byte;
} change;

static uint8_t *
changed(const change *c, size_t *n_bytes)
{
    g_autoptr(GString) header = g_string_new(HEADER);
    if (c && c->from)
        MOE_CHECK(g_string_replace(header, c->from, c->to, 1) == 1, "no '%s' in the header",
                  c->from);
    uint64_t length = header->len;
    *n_bytes = 8 + header->len + DATA;
    uint8_t *bytes = g_malloc(*n_bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header->str, header->len);
    memcpy(bytes + 8 + header->len, data, DATA);
    if (c && c->at >= 0)
        bytes[8 + header->len + (size_t)c->at] = c->byte;
    return bytes;
}

static void
reads(void)
{
    size_t n;
    g_autofree uint8_t *bytes = changed(NULL, &n);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_routing_file) file = moe_routing_open_memory("x", bytes, n, diag);
    g_autofree char *text = moe_diag_render(diag);
    MOE_CHECK(file != NULL, "%s", text);
    if (!file)
        return;
    const moe_routing *r = moe_routing_get(file);
    CU_ASSERT_EQUAL(r->n_tokens, 4);
    CU_ASSERT_EQUAL(r->n_layers, 2);
    CU_ASSERT_EQUAL(r->n_experts, 4);
    CU_ASSERT_EQUAL(r->k, 2);
    CU_ASSERT_EQUAL(r->id_bytes, 1);
    CU_ASSERT_EQUAL(r->layer_ids[0], 1);
    CU_ASSERT_EQUAL(r->layer_ids[1], 3);
    CU_ASSERT_EQUAL(r->n_sequences, 2);
    CU_ASSERT_EQUAL(r->sequence_ids[1], 9);
    CU_ASSERT_EQUAL(r->sequence_first[2], 4);
    CU_ASSERT_EQUAL(r->n_prefill, 2);
    CU_ASSERT_PTR_NULL(r->rows);
    CU_ASSERT_PTR_NULL(r->step);
    CU_ASSERT_STRING_EQUAL(r->model, "m");
    CU_ASSERT_STRING_EQUAL(r->engine, "");
    static const float weights[] = {1, 0.5, 0.25, 65504, 0x1p-24f, -1};
    for (size_t i = 0; i < G_N_ELEMENTS(weights); i++)
        MOE_CHECK(r->weights[i] == weights[i], "weight %zu: %g", i, (double)r->weights[i]);
    static const uint32_t counts[4][2] = {{2, 2}, {1, 0}, {0, 2}, {2, 2}};
    uint16_t ids[2];
    for (uint32_t row = 0; row < 4; row++)
        for (uint32_t layer = 0; layer < 2; layer++)
            CU_ASSERT_EQUAL(moe_routing_row(r, row, layer, ids), counts[row][layer]);
    CU_ASSERT_EQUAL(moe_routing_id(r, 1, 1, 0), MOE_ROUTING_NOT_RUN);
    CU_ASSERT_EQUAL(moe_routing_id(r, 2, 0, 0), MOE_ROUTING_NO_EXPERT);
    CU_ASSERT_EQUAL(r->n_lookahead, 1);
    CU_ASSERT_EQUAL(moe_routing_lookahead_row(r, 0, 0, 1, ids), 1);
    CU_ASSERT_EQUAL(ids[0], 2);
    /* layer 1 of tokens 0, 2, 3 is predicted: {2,3} by 2, {1,0} by 0, {3,1} by 1 */
    CU_ASSERT_DOUBLE_EQUAL(moe_routing_recall(r, 0), 3.0 / 6, 1e-12);

    g_autoptr(GString) described = g_string_new(NULL);
    moe_routing_describe(file, described);
    static const char *const parts[] = {"tokens       4 (2 prefill, 2 decode)",
                                        "layers       2 (numbers 1 3)", "experts      4, top-2",
                                        "look-ahead   1 layer ahead, 1 ids, recall 0.500",
                                        "not used     tensor prompt_id, U32 [1]"};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        MOE_CHECK(strstr(described->str, parts[i]) != NULL, "no '%s' in\n%s", parts[i],
                  described->str);
}

static void
refuses(void)
{
    static const struct {
        change change;
        const char *message;
    } cases[] = {
        {{"moesim-routing", "other", -1, 0}, "no routing trace: metadata 'format' is 'other'"},
        {{"\"format\":\"moesim-routing\",", "", -1, 0}, "metadata 'format' is absent"},
        {{"\"version\":\"1\"", "\"version\":\"2\"", -1, 0}, "this program reads version 1"},
        {{"\"experts\":\"4\",", "", -1, 0}, "metadata 'experts' is absent"},
        {{"\"experts\":\"4\"", "\"experts\":\"4.0\"", -1, 0}, "metadata 'experts' is '4.0'"},
        {{"\"experts\":\"4\"", "\"experts\":\"0\"", -1, 0}, "not a whole number 1 .. 65534"},
        {{"\"experts\":\"4\"", "\"experts\":\"255\"", -1, 0}, "U8 cannot name 255 experts"},
        {{"\"top_k\":\"2\"", "\"top_k\":\"3\"", -1, 0}, "'top_k' is 3, but expert_ids has 2"},
        {{"[1,3]", "[1]", -1, 0}, "fewer layers than expert_ids has"},
        {{"[1,3]", "[1,3,4]", -1, 0}, "more layers than expert_ids has"},
        {{"[1,3]", "[3,1]", -1, 0}, "layers must ascend"},
        {{"[1,3]", "1,3", -1, 0}, "metadata 'layer_ids', byte 0: wants '['"},
        {{"\"expert_ids\"", "\"ids\"", -1, 0}, "tensor expert_ids is absent"},
        {{"\"U8\",\"shape\":[4,2,2]", "\"I8\",\"shape\":[4,2,2]", -1, 0},
         "tensor expert_ids: is I8 [4, 2, 2], wants U8 or U16"},
        {{"\"U8\",\"shape\":[4,2,2]", "\"U8\",\"shape\":[16]", -1, 0},
         "tensor expert_ids: is U8 [16], wants U8 or U16 [tokens, layers, k]"},
        {{"\"U8\",\"shape\":[4,2,2]", "\"U8\",\"shape\":[2,1,8]", -1, 0}, "k must be 1 .. 4"},
        {{"\"sequence\"", "\"sequences\"", -1, 0}, "tensor sequence is absent"},
        {{"\"position\":{\"dtype\":\"U32\"", "\"position\":{\"dtype\":\"I32\"", -1, 0},
         "tensor position: is I32 [4], wants U32 [4]"},
        {{"\"U8\",\"shape\":[4],", "\"U8\",\"shape\":[2,2],", -1, 0},
         "tensor phase: is U8 [2, 2], wants U8 [4]"},
        {{"\"F16\",\"shape\":[4,2,2]", "\"F16\",\"shape\":[4,1,4]", -1, 0},
         "tensor gate_weights: is F16 [4, 1, 4], wants F16 or F32 [4, 2, 2]"},
        {{"\"F16\",\"shape\":[4,2,2]", "\"F32\",\"shape\":[4,2,1]", -1, 0}, "as expert_ids"},
        {{"\"U8\",\"shape\":[4,2,1]", "\"U8\",\"shape\":[4,1,2]", -1, 0},
         "tensor lookahead.1: is U8 [4, 1, 2], wants U8 [4, 2, 1 .. 4]"},
        {{"lookahead.1", "lookahead.0", -1, 0}, "tensor lookahead.0: wants lookahead.D"},
        {{"lookahead.1", "lookahead.01", -1, 0}, "tensor lookahead.01: wants lookahead.D"},
        {{"lookahead.1", "lookahead.x", -1, 0}, "tensor lookahead.x: wants lookahead.D"},
        {{"\"prompt_id\"", "\"token_id\"", -1, 0}, "tensor token_id: is U32 [1], wants U32 [4]"},
        {{"\"prompt_id\"", "\"domain\"", -1, 0}, "tensor domain: is U32 [1], wants U16 [4]"},
        {{"\"prompt_id\"", "\"modality\"", -1, 0}, "tensor modality: is U32 [1], wants U8 [4]"},
        {{"\"prompt_id\"", "\"router_logits\"", -1, 0},
         "tensor router_logits: is U32 [1], wants F16 [4, 2, 4] (tokens, layers, experts)"},
        {{NULL, NULL, IDS, 4},
         "x: error: tensor expert_ids, token 0, layer 0: expert 4, but there "
         "are 4 experts"},
        {{NULL, NULL, IDS + 15, 3}, "token 3, layer 1: expert 3 twice in one row"},
        {{NULL, NULL, IDS + 2, 0xFF}, "token 0, layer 1: slot 1 follows an empty slot"},
        {{NULL, NULL, IDS + 3, 0xFE}, "token 0, layer 1: 'layer not run' must fill the row"},
        {{NULL, NULL, IDS + 6, 0}, "token 1, layer 1: 'layer not run' must fill the row"},
        {{NULL, NULL, IDS + 7, 0xFF}, "token 1, layer 1: 'layer not run' must fill the row"},
        {{NULL, NULL, LOOKAHEAD + 7, 9}, "tensor lookahead.1, token 3, layer 1: expert 9"},
        {{NULL, NULL, PHASE + 2, 2}, "tensor phase, token 2: 2 is neither"},
        {{NULL, NULL, WEIGHTS + 13, 0x7C}, "tensor gate_weights, token 1, layer 1: slot 0 is not"},
        {{NULL, NULL, POSITION + 4, 5},
         "tensor position, token 1: sequence 7 has position 5 "
         "already (token 0)"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t n;
        g_autofree uint8_t *bytes = changed(&cases[i].change, &n);
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(moe_routing_file) file = moe_routing_open_memory("x", bytes, n, diag);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(!file && strstr(text, cases[i].message), "case %zu: '%s' instead of '%s'", i,
                  text, cases[i].message);
    }
}

/* Messages are few however much is wrong. */
static void
many_errors(void)
{
    moe_routing_builder *builder = moe_routing_builder_new(4, 8, 2);
    for (uint32_t i = 0; i < 100; i++)
        moe_routing_builder_add(builder, 0, i, MOE_DECODE,
                                (const uint16_t[]){1, 1, 2, 2, 3, 3, 4, 4}, NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    CU_ASSERT_FALSE(moe_routing_builder_check(builder, "x", diag));
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 20);
    moe_routing_builder_free(builder);
}

/* Tokens in an order that is neither that of sequences nor that of positions. */
static void
index_of_rows(void)
{
    static const uint32_t tokens[][2] = {{5, 2}, {3, 0}, {5, 0}, {3, 7}, {5, 9}, {8, 4}, {3, 1}};
    static const uint32_t rows[] = {2, 0, 4, 1, 6, 3, 5};
    moe_routing_builder *builder = moe_routing_builder_new(1, 300, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(tokens); i++)
        moe_routing_builder_add(builder, tokens[i][0], tokens[i][1], MOE_DECODE,
                                &(uint16_t){(uint16_t)(290 + i)}, NULL);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "built");
    const moe_routing *r = moe_routing_get(file);
    CU_ASSERT_EQUAL(r->id_bytes, 2);
    CU_ASSERT_EQUAL_FATAL(r->n_sequences, 3);
    static const uint32_t ids[] = {5, 3, 8};
    static const uint64_t first[] = {0, 3, 6, 7};
    for (uint32_t s = 0; s < 3; s++) {
        CU_ASSERT_EQUAL(r->sequence_ids[s], ids[s]);
        CU_ASSERT_EQUAL(r->sequence_first[s + 1], first[s + 1]);
        for (uint64_t i = 0; i < first[s + 1] - first[s]; i++)
            MOE_CHECK(moe_routing_token(r, s, i) == rows[first[s] + i],
                      "sequence %u, token %d: row %d", s, (int)i, (int)moe_routing_token(r, s, i));
    }
    CU_ASSERT_EQUAL(moe_routing_id(r, 6, 0, 0), 296);
}

static void
metadata(void)
{
    moe_routing_builder *builder = moe_routing_builder_new(2, 4, 1);
    moe_routing_builder_layers(builder, (const uint32_t[]){3, 5});
    moe_routing_builder_add(builder, 0, 0, MOE_PREFILL, (const uint16_t[]){0, 1}, NULL);
    moe_routing_builder_meta(builder, "model", "old");
    moe_routing_builder_meta(builder, "model", "new");
    moe_routing_builder_meta(builder, "licence", "MIT");
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "built");
    CU_ASSERT_STRING_EQUAL(moe_routing_get(file)->model, "new");
    CU_ASSERT_STRING_EQUAL(moe_routing_meta(file, "licence"), "MIT");
    CU_ASSERT_STRING_EQUAL(moe_routing_meta(file, "layer_ids"), "[3,5]");
    CU_ASSERT_STRING_EQUAL(moe_routing_meta(file, "order"), "file");
    CU_ASSERT_PTR_NULL(moe_routing_meta(file, "tokenizer"));
}

/* A header whose length is odd leaves U32 data unaligned: the reader must not mind. */
static void
unaligned(void)
{
    for (int pad = 0; pad < 4; pad++) {
        g_autofree char *padded = g_strdup_printf("\"m%.*s\"", pad, "xyz");
        const change c = {"\"m\"", padded, -1, 0};
        size_t n;
        g_autofree uint8_t *bytes = changed(&c, &n);
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(moe_routing_file) file = moe_routing_open_memory("x", bytes, n, diag);
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        CU_ASSERT_EQUAL(moe_routing_get(file)->position[1], 6);
        CU_ASSERT_EQUAL((uintptr_t)moe_routing_get(file)->position % 4, 0);
        CU_ASSERT_EQUAL(moe_routing_get(file)->weights[1], 0.5f);
    }
}

MOE_TESTS({"reads", reads}, {"refuses", refuses}, {"many errors", many_errors},
          {"index of rows", index_of_rows}, {"metadata", metadata}, {"unaligned", unaligned})
