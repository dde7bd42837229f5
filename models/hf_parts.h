/* What the families' readers of config.json have in common, and the readers of those that have
 * linear attention. Private to models/. */
#ifndef MOE_MODELS_HF_PARTS_H
#define MOE_MODELS_HF_PARTS_H

#include "models/hf_keys.h"

/* Width, vocabulary, embeddings. */
void moe_hf_read_model(moe_hf_reader *r, const char *hidden, bool tied);
/* A decoder with heads, and nothing else yet. */
moe_stack_spec *moe_hf_read_decoder(moe_hf_reader *r);
/* A window as long as the context is none. */
int64_t moe_hf_read_window(const moe_hf_reader *r);
/* transformers 5 writes num_local_experts where older files have num_experts. */
moe_ffn_spec moe_hf_read_experts(const moe_hf_reader *r, const char *count, const char *width);
bool moe_hf_has_dense(const moe_stack_spec *s);
/* Qwen: every decoder_sparse_step-th layer has experts, but those of mlp_only_layers. */
void moe_hf_read_qwen_pattern(const moe_hf_reader *r, moe_stack_spec *s);

/* ---- families with linear attention: models/hf_linear.c ---- */
void moe_hf_read_qwen3_next(moe_hf_reader *r);
void moe_hf_read_minimax(moe_hf_reader *r); /* Text-01, M1 */
void moe_hf_read_jamba(moe_hf_reader *r);
void moe_hf_read_granite_hybrid(moe_hf_reader *r);

#endif
