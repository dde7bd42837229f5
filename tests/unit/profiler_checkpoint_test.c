/* Checkpoint folders that are wrong: every message, in full, and all of them at once. */
#include "tests/unit/checkpoint_fixture.h"

#define INDEX "model.safetensors.index.json"

/* What opening the folder says; "" when it opens. Yours to free. */
static char *
messages_of(const checkpoint *c)
{
    char *messages;
    moe_weights_close(checkpoint_open(c, &messages));
    return messages;
}

static void
says(const checkpoint *c, const char *wanted)
{
    g_autofree char *got = messages_of(c);
    MOE_CHECK(strcmp(got, wanted) == 0, "says\n%swanted\n%s", got, wanted);
}

static void
names_one_missing_tensor(void)
{
    checkpoint c = checkpoint_olmoe();
    checkpoint_drop(&c, "model.layers.1.self_attn.k_norm.weight");
    checkpoint_write(&c);
    says(&c, "/model.safetensors: error: a tensor is missing: "
             "model.layers.1.self_attn.k_norm.weight\n");
    checkpoint_clear(&c);
}

/* Many missing tensors, a wrong shape, a wrong rank and a wrong type: in one go. */
static void
collects_what_is_wrong(void)
{
    checkpoint c = checkpoint_olmoe();
    for (int e = 0; e < 4; e++) {
        g_autofree char *name = g_strdup_printf("model.layers.0.mlp.experts.%d.up_proj.weight", e);
        checkpoint_drop(&c, name);
    }
    moe_tensor *t = checkpoint_find(&c, "model.layers.0.mlp.gate.weight");
    t->shape[0] = 2;
    t = checkpoint_find(&c, "model.layers.1.self_attn.q_proj.weight");
    t->rank = 1;
    t->shape[0] = 1024;
    checkpoint_find(&c, "model.norm.weight")->type = MOE_TENSOR_I32;
    checkpoint_write(&c);
    says(&c, "/model.safetensors: error: tensor model.norm.weight: expected BF16, F16 or F32 [32], "
             "found I32 [32]\n"
             "/model.safetensors: error: tensor model.layers.0.mlp.gate.weight: expected BF16, F16 "
             "or F32 [4, 32], found F32 [2, 32]\n"
             "/model.safetensors: error: tensor model.layers.1.self_attn.q_proj.weight: expected "
             "BF16, F16 or F32 [32, 32], found F32 [1024]\n"
             "/model.safetensors: error: tensors are missing: "
             "model.layers.0.mlp.experts.0.up_proj.weight, "
             "model.layers.0.mlp.experts.1.up_proj.weight, "
             "model.layers.0.mlp.experts.2.up_proj.weight and 1 more\n");
    checkpoint_clear(&c);
}

/* The missing name is one of the layout that the others have. */
static void
names_the_layout_in_use(void)
{
    checkpoint c = checkpoint_new(CONFIG_OLMOE);
    checkpoint_frame(&c);
    checkpoint_layers(&c, "self_attn.q_norm.weight", 32, 0);
    checkpoint_layers(&c, "self_attn.k_norm.weight", 16, 0);
    checkpoint_layers(&c, "mlp.gate.weight", EXPERTS, HIDDEN);
    float *pair = g_new0(float, EXPERTS * 2 * WIDTH * HIDDEN);
    checkpoint_add(&c, "model.layers.0.mlp.experts.gate_up_proj", MOE_TENSOR_F32,
                   (const uint64_t[4]){EXPERTS, 2 * WIDTH, HIDDEN}, pair);
    checkpoint_write(&c);
    g_autofree char *got = messages_of(&c);
    MOE_CHECK(g_str_has_prefix(got, "/model.safetensors: error: tensors are missing: "
                                    "model.layers.0.mlp.experts.0.down_proj.weight, "),
              "%s", got);
    checkpoint_clear(&c);
}

static void
mxfp4(void)
{
    checkpoint c = checkpoint_new(CONFIG_GPT_OSS);
    checkpoint_add(&c, "model.layers.0.mlp.experts.down_proj_blocks", MOE_TENSOR_U8,
                   (const uint64_t[4]){EXPERTS, HIDDEN, WIDTH / 32, 16},
                   g_malloc0(EXPERTS * HIDDEN * WIDTH / 2));
    checkpoint_add(&c, "model.layers.0.mlp.experts.down_proj_scales", MOE_TENSOR_U8,
                   (const uint64_t[4]){EXPERTS, HIDDEN, 1}, g_malloc0(EXPERTS * HIDDEN));
    checkpoint_add(&c, "model.layers.0.mlp.experts.gate_up_proj_blocks", MOE_TENSOR_F16,
                   (const uint64_t[4]){EXPERTS, 2 * WIDTH, 1, 8},
                   g_malloc0(EXPERTS * 2 * WIDTH * 16));
    checkpoint_write(&c);
    g_autofree char *got = messages_of(&c);
    static const char *const wanted[] = {
        "tensor model.layers.0.mlp.experts.down_proj_scales: expected U8 [4, 32, 2], found U8 [4, "
        "32, 1]\n",
        "tensor model.layers.0.mlp.experts.gate_up_proj_blocks: expected U8 [4, 128, 1, 16], found "
        "F16 [4, 128, 1, 8]\n",
        "tensors are missing: model.embed_tokens.weight, model.norm.weight, lm_head.weight and ",
    };
    for (size_t i = 0; i < MOE_COUNT(wanted); i++)
        MOE_CHECK(strstr(got, wanted[i]), "%s\nwanted: %s", got, wanted[i]);
    checkpoint_clear(&c);

    c = checkpoint_new(CONFIG("gpt_oss", "\"num_local_experts\": 4, \"intermediate_size\": 40, "
                                         "\"rope_scaling\": {\"rope_type\": \"default\"}"));
    checkpoint_add(&c, "model.layers.0.mlp.experts.down_proj_blocks", MOE_TENSOR_U8,
                   (const uint64_t[4]){EXPERTS, HIDDEN, 1, 16}, g_malloc0(EXPERTS * HIDDEN * 16));
    checkpoint_write(&c);
    g_autofree char *odd = messages_of(&c);
    MOE_CHECK(strstr(odd, "down_proj_blocks: rows of 40 elements cannot be blocks of 32\n"), "%s",
              odd);
    checkpoint_clear(&c);
}

/* Config and files are both looked at. */
static void
config_and_files(void)
{
    checkpoint c = checkpoint_new("{\"model_type\": \"olmoe\", \"hidden_size\": 32, "
                                  "\"vocab_size\": 6, \"num_hidden_layers\": 2, "
                                  "\"num_attention_heads\": 2, \"num_experts_per_tok\": 2, "
                                  "\"intermediate_size\": 64, \"max_position_embeddings\": 64, "
                                  "\"rms_norm_eps\": 1e-05}");
    says(&c, ": error: no checkpoint: holds neither model.safetensors nor "
             "model.safetensors.index.json\n"
             "/config.json: error: key num_experts: missing\n");
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    checkpoint_put(&c, "model.safetensors", pointer, sizeof pointer - 1);
    says(&c, "/config.json: error: key num_experts: missing\n"
             "/model.safetensors: error: a pointer of Git LFS instead of the file; fetch it with "
             "`git lfs pull`\n");
    g_autofree char *config = g_build_filename(c.folder, "config.json", NULL);
    g_unlink(config);
    g_autofree char *got = messages_of(&c);
    MOE_CHECK(g_str_has_prefix(got, "/config.json: "), "%s", got);
    checkpoint_clear(&c);
}

/* Cut at many lengths, and headers that say more than there is. */
static void
files_that_lie(void)
{
    checkpoint c = checkpoint_olmoe();
    checkpoint_write(&c);
    g_autofree char *path = g_build_filename(c.folder, "model.safetensors", NULL);
    g_autofree char *bytes = NULL;
    gsize n;
    moe_assert(g_file_get_contents(path, &bytes, &n, NULL), "no file");
    for (gsize cut = 0; cut < n; cut += cut < 64 ? 1 : n / 37) {
        checkpoint_put(&c, "model.safetensors", bytes, cut);
        g_autofree char *got = messages_of(&c);
        MOE_CHECK(g_str_has_prefix(got, "/model.safetensors: error: "), "cut at %zu: %s", cut, got);
    }
    char *end = strstr(bytes + 8, "\"data_offsets\":[0,");
    moe_assert(end, "no offsets");
    end[strlen("\"data_offsets\":[")] = '9';
    checkpoint_put(&c, "model.safetensors", bytes, n);
    g_autofree char *got = messages_of(&c);
    MOE_CHECK(g_str_has_prefix(got, "/model.safetensors: error: "), "%s", got);
    checkpoint_clear(&c);
}

/* ---- shards ---- */

/* An OLMoE of three shards; entry `which` of the index is replaced by `entry`. */
static checkpoint
sharded(const char *which, const char *entry)
{
    checkpoint c = checkpoint_olmoe();
    GString *index = g_string_new("{\"metadata\": {\"total_size\": 1.5}, \"weight_map\": {\n");
    for (guint i = 0; i < c.tensors->len; i++) {
        const char *name = g_array_index(c.tensors, moe_tensor, i).name;
        g_string_append(index, i ? ",\n" : "");
        if (which && strcmp(name, which) == 0)
            g_string_append(index, entry);
        else
            g_string_append_printf(index, "\"%s\": \"model-0000%u-of-00003.safetensors\"", name,
                                   i % 3 + 1);
    }
    g_string_append(index, "}}");
    checkpoint_put(&c, INDEX, index->str, index->len);
    g_string_free(index, TRUE);
    for (guint i = 0; i < 3; i++) {
        g_autofree char *file = g_strdup_printf("model-0000%u-of-00003.safetensors", i + 1);
        checkpoint_write_some(&c, file, i, 3);
    }
    return c;
}

static void
shards(void)
{
    checkpoint c = sharded(NULL, NULL);
    g_autofree char *messages = NULL;
    g_autoptr(moe_weights_set) set = checkpoint_open(&c, &messages);
    MOE_CHECK(set, "%s", messages);
    if (set) {
        const moe_weights *w = moe_weights_get(set);
        for (uint32_t e = 0; e < EXPERTS; e++) {
            const moe_mlp *mlp = &w->layers[1].experts[e];
            moe_span spans[MOE_EXPERT_SPANS];
            CU_ASSERT_EQUAL(matrix_value(&mlp->up, 63, 31), expert_value(1, e, UP, 63, 31));
            CU_ASSERT_EQUAL(matrix_value(&mlp->down, 31, 63), expert_value(1, e, DOWN, 31, 63));
            /* Each matrix is in a shard of its own. */
            CU_ASSERT_EQUAL(moe_weights_expert_spans(set, 1, e, spans), 3);
        }
        CU_ASSERT_EQUAL(matrix_value(&w->final_norm, 31, 0), named_value("model.norm.weight", 31));
    }
    checkpoint_clear(&c);
}

static void
missing_shard(void)
{
    checkpoint c = sharded(NULL, NULL);
    static const char *const names[] = {"model-00002-of-00003.safetensors",
                                        "model-00003-of-00003.safetensors"};
    for (size_t i = 0; i < MOE_COUNT(names); i++) {
        g_autofree char *path = g_build_filename(c.folder, names[i], NULL);
        g_unlink(path);
    }
    says(&c, "/" INDEX ": error: shard model-00002-of-00003.safetensors is missing (15 tensors)\n"
             "/" INDEX ": error: shard model-00003-of-00003.safetensors is missing (15 tensors)\n");
    checkpoint_put(&c, names[0], "short", 5);
    g_autofree char *got = messages_of(&c);
    MOE_CHECK(strstr(got, "/model-00002-of-00003.safetensors: error: no safetensors file: 5 bytes"),
              "%s", got);
    checkpoint_clear(&c);
}

#define NORM "model.norm.weight"

static const struct {
    const char *entry, *message;
} entries[] = {
    {"\"" NORM "\": \"../model-00002-of-00003.safetensors\"",
     "tensor " NORM ": its file '../model-00002-of-00003.safetensors' is none beside the index\n"},
    {"\"" NORM "\": \"/etc/passwd\"",
     "tensor " NORM ": its file '/etc/passwd' is none beside the index\n"},
    {"\"" NORM "\": \"..\"", "tensor " NORM ": its file '..' is none beside the index\n"},
    {"\"" NORM "\": \"\"", "tensor " NORM ": its file '' is none beside the index\n"},
    {"\"" NORM "\": \"model-00003-of-00003.safetensors\"",
     "tensor " NORM ": is not in model-00003-of-00003.safetensors, where it ought to be\n"},
    {"\"" NORM "\": \"other.safetensors\"", "shard other.safetensors is missing (1 tensor)\n"},
    {"\"other\": \"model-00002-of-00003.safetensors\"", "a tensor is missing: " NORM "\n"},
    {"\"lm_head.weight\": \"model-00003-of-00003.safetensors\"",
     "tensor lm_head.weight: written twice\n"},
    {"\"" NORM "\": 3", "byte 136: wants a text in double quotes\n"},
    {"\"" NORM "\"", "byte 134: wants ':'\n"},
};

static void
wrong_entries(void)
{
    for (size_t i = 0; i < MOE_COUNT(entries); i++) {
        checkpoint c = sharded(NORM, entries[i].entry);
        g_autofree char *got = messages_of(&c);
        g_autofree char *wanted = g_strconcat("/" INDEX ": error: ", entries[i].message, NULL);
        MOE_CHECK(strstr(got, wanted), "%s\nsays %swanted %s", entries[i].entry, got, wanted);
        MOE_CHECK(i > 3 || strcmp(got, wanted) == 0, "%s: says also %s", entries[i].entry, got);
        checkpoint_clear(&c);
    }
}

static const struct {
    const char *index, *message;
} indices[] = {
    {"", "byte 0: wants '{'\n"},
    {"{}", "no weight_map: names no file\n"},
    {"{\"metadata\": {}}", "no weight_map: names no file\n"},
    {"{\"weight_map\": {}}", "no weight_map: names no file\n"},
    {"{\"weight_map\": []}", "byte 15: wants '{'\n"},
    {"{\"weight_map\": {\"a\": \"b.safetensors\"}} x", "byte 39: wants nothing more\n"},
    {"{\"weight_map\": {\"\xff\": \"b\"}}", "not UTF-8\n"},
};

static void
wrong_indices(void)
{
    checkpoint c = checkpoint_new(CONFIG_OLMOE);
    for (size_t i = 0; i < MOE_COUNT(indices); i++) {
        checkpoint_put(&c, INDEX, indices[i].index, strlen(indices[i].index));
        g_autofree char *wanted = g_strconcat("/" INDEX ": error: ", indices[i].message, NULL);
        says(&c, wanted);
    }
    checkpoint_clear(&c);
}

/* A config that asks for more than anybody can have ends soon, with a bounded message. */
static void
hostile_sizes(void)
{
    checkpoint c = checkpoint_new(
        "{\"model_type\": \"olmoe\", \"hidden_size\": 1, \"vocab_size\": 1, "
        "\"num_hidden_layers\": 1024, \"num_attention_heads\": 1, \"head_dim\": 2, "
        "\"num_experts\": 65533, \"num_experts_per_tok\": 1, \"intermediate_size\": 1, "
        "\"max_position_embeddings\": 1, \"rms_norm_eps\": 0}");
    checkpoint_named(&c, "model.norm.weight", 1, 0);
    checkpoint_write(&c);
    g_autofree char *got = messages_of(&c);
    MOE_CHECK(strstr(got, " and at least 9997 more\n"), "%s", got);
    checkpoint_clear(&c);
}

static void
no_folder(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_weights_set) set = moe_weights_open("/nowhere", diag, &error);
    MOE_CHECK(!set && error && g_str_has_prefix(error->message, "/nowhere/config.json: "), "%s",
              error ? error->message : "no error");
}

MOE_TESTS({"names one missing tensor", names_one_missing_tensor},
          {"collects what is wrong", collects_what_is_wrong},
          {"names the layout in use", names_the_layout_in_use}, {"MXFP4", mxfp4},
          {"config and files", config_and_files}, {"files that lie", files_that_lie},
          {"shards", shards}, {"missing shard", missing_shard}, {"wrong entries", wrong_entries},
          {"wrong indices", wrong_indices}, {"hostile sizes", hostile_sizes},
          {"no folder", no_folder})
