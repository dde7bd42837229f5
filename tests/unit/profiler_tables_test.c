/* Readers of foreign tables: of each layout a few lines, and what they become. */
#include "profiler/measured.h"
#include "tests/test.h"

#include <glib.h>
#include <math.h>

static moe_measured *
parse(const char *name, const char *text, char **messages)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_measured *table = moe_measured_new();
    bool good = moe_measured_parse(table, name, text, strlen(text), diag);
    char *said = moe_diag_render(diag);
    MOE_CHECK(good == (moe_diag_errors(diag) == 0), "%s", said);
    if (messages)
        *messages = said;
    else {
        MOE_CHECK(good, "%s", said);
        g_free(said);
    }
    return table;
}

/* The line that a row is written as, without the columns that are empty: "kind=experts …". */
static char *
row_text(const moe_measured_row *row)
{
    g_autoptr(GString) header = g_string_new(NULL), line = g_string_new(NULL);
    GString *out = g_string_new(NULL);
    moe_measured_header(header);
    moe_measured_write(row, line);
    g_auto(GStrv) names = g_strsplit(g_strchomp(header->str), ",", -1);
    g_auto(GStrv) values = g_strsplit(g_strchomp(line->str), ",", -1);
    for (size_t i = 0; names[i] && values[i]; i++)
        if (*values[i] && strcmp(names[i], "source") && strcmp(names[i], "framework"))
            g_string_append_printf(out, "%s%s=%s", out->len ? " " : "", names[i], values[i]);
    return g_string_free(out, FALSE);
}

#define AIC "framework,version,device,op_name,kernel_source,"
#define WHO "VLLM,1.2,NVIDIA Z9,"
#define TIMES(name) "time_stats." name ".median,time_stats." name ".min,time_stats." name ".max,"
#define METHODS                                                                                    \
    TIMES("input_layernorm")                                                                       \
    TIMES("attn_rope")                                                                             \
    "time_stats.lm_head_linear.median,time_stats.attn_pre_proj.median,n_head,n_kv_head,n_embd,"    \
    "n_expanded_embd,vocab_size,use_qk_norm,num_tokens,num_tensor_parallel_workers,"               \
    "measurement_type\n"

static const struct {
    const char *file, *text;
    const char *rows[6];
} tables[] = {
    {"moe_perf.csv",
     AIC "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,"
         "distribution,latency\n" WHO "moe,some_moe,fp8_block,3,64,96,2,8,2,2,balanced,0.25\n" WHO
         "moe,x_nongated,w4a16_mxfp4,1,64,96,2,8,1,8,balanced,0.05\n",
     {"kind=experts device=NVIDIA Z9 version=1.2 kernel=some_moe dtype=fp8_block weight_bits=8 "
      "activation_bits=8 hidden=64 width=48 matrices=3 experts=4 top_k=2 ep=2 tp=2 tokens=3 "
      "distribution=balanced calls=1 mode=graph time_us=250",
      "kind=experts device=NVIDIA Z9 version=1.2 kernel=x_nongated dtype=mxfp4 weight_bits=4.25 "
      "activation_bits=16 hidden=64 width=96 matrices=2 experts=1 top_k=2 ep=8 tokens=1 "
      "distribution=balanced calls=1 mode=graph time_us=50"}},
    {"gemm_perf.csv",
     AIC "gemm_dtype,m,n,k,latency\n" WHO "gemm,lib,int8_wo,8,16,32,0.01\n",
     {"kind=gemm device=NVIDIA Z9 version=1.2 kernel=lib dtype=int8_wo weight_bits=8 "
      "activation_bits=16 m=8 n=16 k=32 mode=graph time_us=10"}},
    {"attention_perf.csv",
     AIC "batch_size,isl,num_heads,num_key_value_heads,head_dim,beam_width,attn_dtype,"
         "kv_cache_dtype,step,window_size,latency\n" WHO
         "context_attention,fa,2,100,8,2,64,1,bfloat16,fp8,28,0,0.03\n" WHO
         "generation_attention,fa,2,1,8,0,64,1,bfloat16,bfloat16,127,128,0.02\n",
     {"kind=attention device=NVIDIA Z9 version=1.2 kernel=fa dtype=bf16 kv_dtype=fp8 weight_bits=8 "
      "activation_bits=16 kv_bits=8 heads=8 kv_heads=2 head_dim=64 queries=100 context=128 "
      "sequences=2 mode=graph time_us=30",
      "kind=attention device=NVIDIA Z9 version=1.2 kernel=fa dtype=bf16 kv_dtype=bf16 "
      "weight_bits=16 activation_bits=16 kv_bits=16 heads=8 kv_heads=8 head_dim=64 window=128 "
      "queries=1 context=128 sequences=2 mode=graph time_us=20"}},
    {"mla_perf.csv",
     AIC "mla_dtype,kv_cache_dtype,num_heads,batch_size,isl,tp_size,step,latency\n" WHO
         "generation_mla,t,bfloat16,bfloat16,16,4,1,8,99,0.04\n",
     {"kind=attention device=NVIDIA Z9 version=1.2 kernel=t dtype=bf16 kv_dtype=bf16 "
      "weight_bits=16 activation_bits=16 kv_bits=16 hidden=7168 tp=8 heads=16 kv_heads=1 "
      "head_dim=128 variant=mla kv_rank=512 rope_dim=64 value_dim=128 q_rank=1536 queries=1 "
      "context=100 sequences=4 mode=plain time_us=40"}},
    {"mla_module.csv",
     AIC "model,architecture,mla_dtype,kv_cache_dtype,gemm_type,num_heads,batch_size,isl,tp_size,"
         "step,latency\n" WHO "mla_context_module,t,M,A,bfloat16,fp8,fp8_block,16,1,512,1,0,0.4\n",
     {"kind=attention device=NVIDIA Z9 version=1.2 kernel=t dtype=fp8_block kv_dtype=fp8 "
      "weight_bits=8 activation_bits=16 kv_bits=8 hidden=7168 heads=16 kv_heads=16 head_dim=128 "
      "variant=mla_module kv_rank=512 rope_dim=64 value_dim=128 q_rank=1536 queries=512 "
      "context=512 sequences=1 mode=graph time_us=400"}},
    {"z9_sxm__comm__nccl__2.23__nccl_perf.csv.gz",
     "nccl_dtype,num_gpus,message_size,kernel_source,op_name,latency\n"
     "half,4,1024,NCCL,alltoall,0.0123\nint8,4,1024,NCCL,all_gather,0.0123\n",
     {"kind=collective device=z9_sxm version=2.23 kernel=NCCL dtype=fp16 weight_bits=16 "
      "activation_bits=16 collective=all_to_all algorithm=nccl ranks=4 bytes=2048 mode=graph "
      "time_us=12.3",
      "kind=collective device=z9_sxm version=2.23 kernel=NCCL dtype=int8 weight_bits=8 "
      "activation_bits=8 collective=all_gather algorithm=nccl ranks=4 bytes=1024 mode=graph "
      "time_us=12.3"}},
    {"custom_allreduce.csv",
     AIC "allreduce_dtype,num_gpus,message_size,latency,backend\n" WHO
         "all_reduce,k_eager,bfloat16,8,64,0.02,v_eager\n" WHO
         "all_reduce,k_graph,bfloat16,8,64,0.005,v_graph\n",
     {"kind=collective device=NVIDIA Z9 version=1.2 kernel=k_eager dtype=bf16 weight_bits=16 "
      "activation_bits=16 collective=all_reduce algorithm=custom ranks=8 bytes=128 mode=plain "
      "time_us=20",
      "kind=collective device=NVIDIA Z9 version=1.2 kernel=k_graph dtype=bf16 weight_bits=16 "
      "activation_bits=16 collective=all_reduce algorithm=custom ranks=8 bytes=128 mode=graph "
      "time_us=5"}},
    {"deepep_normal.csv",
     AIC "node_num,hidden_size,num_token,num_topk,num_experts,dispatch_sms,dispatch_transmit_us,"
         "dispatch_notify_us,combine_sms,combine_transmit_us,combine_notify_us\n" WHO
         "normal,deepep,2,512,16,2,32,20,100.5,7,24,200,0\n",
     {"kind=collective device=NVIDIA Z9 version=1.2 kernel=deepep dtype=fp8 weight_bits=8 "
      "activation_bits=8 hidden=512 experts=32 top_k=2 tokens=16 collective=dispatch "
      "algorithm=deepep_normal ranks=16 nodes=2 sms=20 mode=plain time_us=100.5",
      "kind=collective device=NVIDIA Z9 version=1.2 kernel=deepep dtype=fp8 weight_bits=8 "
      "activation_bits=8 hidden=512 experts=32 top_k=2 tokens=16 collective=dispatch_notify "
      "algorithm=deepep_normal ranks=16 nodes=2 sms=20 mode=plain time_us=7",
      "kind=collective device=NVIDIA Z9 version=1.2 kernel=deepep dtype=bf16 weight_bits=16 "
      "activation_bits=16 hidden=512 experts=32 top_k=2 tokens=16 collective=combine "
      "algorithm=deepep_normal ranks=16 nodes=2 sms=24 mode=plain time_us=200"}},
    {"deepep_ll.csv",
     AIC "node_num,hidden_size,num_token,num_topk,num_experts,combine_avg_t_us,"
         "combine_bandwidth_gbps,dispatch_avg_t_us,dispatch_bandwidth_gbps\n" WHO
         "ll,deepep,1,512,16,2,32,11,1,9,1\n",
     {"kind=collective device=NVIDIA Z9 version=1.2 kernel=deepep dtype=fp8 weight_bits=8 "
      "activation_bits=8 hidden=512 experts=32 top_k=2 tokens=16 collective=dispatch "
      "algorithm=deepep_low_latency ranks=8 mode=plain time_us=9",
      "kind=collective device=NVIDIA Z9 version=1.2 kernel=deepep dtype=bf16 weight_bits=16 "
      "activation_bits=16 hidden=512 experts=32 top_k=2 tokens=16 collective=combine "
      "algorithm=deepep_low_latency ranks=8 mode=plain time_us=11"}},
    {"bench_data_grouped_gemm_decode_z9_data.csv",
     "num_experts,num_gpus,num_local_experts,topk,hidden_size,intermediate_size,"
     "batch_size_per_gpu,tokens_per_expert,up_proj_us,up_mfu,down_proj_us,down_mfu\n"
     "8,4,2,2,512,256,4,4,20,0.1,12,0.1\n",
     {"kind=experts device=z9 kernel=deepgemm_masked dtype=fp8_block weight_bits=8 "
      "activation_bits=8 part=up hidden=512 width=256 matrices=3 experts=2 top_k=2 ep=4 tokens=16 "
      "distinct=2 loads=4;4 mode=plain time_us=20",
      "kind=experts device=z9 kernel=deepgemm_masked dtype=fp8_block weight_bits=8 "
      "activation_bits=8 part=down hidden=512 width=256 matrices=3 experts=2 top_k=2 ep=4 "
      "tokens=16 distinct=2 loads=4;4 mode=plain time_us=12"}},
    {"bench_data_gemm_z9_data.csv",
     "m,k,n,latency_us,mfu\n8,32,16,10,0.1\n",
     {"kind=gemm device=z9 kernel=deepgemm dtype=fp8_block weight_bits=8 activation_bits=8 m=8 "
      "n=16 k=32 mode=plain time_us=10"}},
    {"bench_data_mha_decode_z9_32-4-128.csv",
     "dtype,kv_dtype,batch_size,kv_len,latency_us,mfu\nbf16,fp8,4,1000,30,0.1\n",
     {"kind=attention device=z9 kernel=flash_attention_3 dtype=bf16 kv_dtype=fp8 weight_bits=8 "
      "activation_bits=16 kv_bits=8 heads=32 kv_heads=4 head_dim=128 queries=1 context=1000 "
      "sequences=4 mode=plain time_us=30"}},
    {"bench_data_mla_decode_z9_16-512-64.csv",
     "dtype,kv_dtype,batch_size,kv_len,latency_us,mfu\nbf16,bf16,4,1000,30,0.1\n",
     {"kind=attention device=z9 kernel=flashmla dtype=bf16 kv_dtype=bf16 weight_bits=16 "
      "activation_bits=16 kv_bits=16 heads=16 kv_heads=1 head_dim=128 variant=mla kv_rank=512 "
      "rope_dim=64 value_dim=128 queries=1 context=1000 sequences=4 mode=plain time_us=30"}},
    {"bench_data_dsa_prefill_z9_attn-128-576-2048.csv",
     "dtype,s_q,s_kv,latency_us,mfu\nbf16,64,4096,300,0.6\n",
     {"kind=attention device=z9 kernel=flashmla dtype=bf16 kv_dtype=bf16 weight_bits=16 "
      "activation_bits=16 kv_bits=16 heads=128 kv_heads=1 head_dim=128 variant=sparse kv_rank=512 "
      "rope_dim=64 value_dim=128 selected=2048 queries=64 context=4096 sequences=1 mode=plain "
      "time_us=300"}},
    {"bench_data_mla_prefill_z9_16-128-64.csv",
     "dtype,seq_len,latency_us,mfu\nbf16,64,300,0.6\n",
     {"kind=attention device=z9 kernel=flashmla dtype=bf16 kv_dtype=bf16 weight_bits=16 "
      "activation_bits=16 kv_bits=16 heads=16 kv_heads=16 head_dim=128 variant=mla kv_rank=512 "
      "rope_dim=64 value_dim=128 queries=64 context=64 sequences=1 mode=plain time_us=300"}},
    {"bench_data_dsa_decode_z9_logits-64-128.csv",
     "batchsize,next_n,s_kv,latency_us,mfu\n4,1,1024,9,0.1\n",
     {"kind=attention device=z9 kernel=deepgemm_mqa_logits dtype=fp8 weight_bits=8 "
      "activation_bits=8 kv_bits=8 heads=64 kv_heads=1 head_dim=128 variant=scores queries=1 "
      "context=1024 sequences=4 mode=plain time_us=9"}},
    {"bench_data_dsa_prefill_z9_logits-64-128.csv",
     "s_q,s_kv,latency_us,mfu\n128,1024,9,0.1\n",
     {"kind=attention device=z9 kernel=deepgemm_mqa_logits dtype=fp8 weight_bits=8 "
      "activation_bits=8 kv_bits=8 heads=64 kv_heads=1 head_dim=128 variant=scores queries=128 "
      "context=1024 sequences=1 mode=plain time_us=9"}},
    {"z9__mla_bmm.csv",
     AIC "bmm_dtype,num_tokens,num_heads,latency\n" WHO "mla_gen_pre,k,float16,64,16,0.01\n" WHO
         "mla_gen_post,k,fp8,64,16,0.01\n",
     {"kind=operation device=NVIDIA Z9 version=1.2 kernel=k dtype=fp16 weight_bits=16 "
      "activation_bits=16 width=512 tokens=64 heads=16 kv_heads=16 head_dim=128 "
      "operation=head_products mode=graph time_us=10",
      "kind=operation device=NVIDIA Z9 version=1.2 kernel=k dtype=fp8 weight_bits=8 "
      "activation_bits=8 width=128 tokens=64 heads=16 kv_heads=16 head_dim=512 "
      "operation=head_products mode=graph time_us=10"}},
    {"z9__quantize.csv",
     AIC "quant_dtype,m,k,latency\n" WHO "scale_matrix,k,fp8,64,7168,0.01\n",
     {"kind=operation device=NVIDIA Z9 version=1.2 kernel=k dtype=fp8 weight_bits=8 "
      "activation_bits=8 hidden=7168 tokens=64 operation=quantise mode=graph time_us=10"}},
    {"z9__gdn.csv",
     AIC "phase,batch_size,seq_len,num_v_heads,head_k_dim,head_v_dim,latency\n" WHO
         "gdn,causal_conv1d_fn,context,1,64,32,128,96,0.01\n" WHO
         "gdn,chunk_rule,context,2,64,32,128,96,0.01\n" WHO
         "gdn,recurrent,generation,2,64,32,128,96,0.01\n",
     {"kind=attention device=NVIDIA Z9 version=1.2 kernel=chunk_rule dtype=bf16 kv_dtype=bf16 "
      "weight_bits=16 activation_bits=16 kv_bits=16 heads=32 kv_heads=32 head_dim=128 "
      "variant=linear value_dim=96 queries=64 context=64 sequences=2 mode=graph time_us=10",
      "kind=attention device=NVIDIA Z9 version=1.2 kernel=recurrent dtype=bf16 kv_dtype=bf16 "
      "weight_bits=16 activation_bits=16 kv_bits=16 heads=32 kv_heads=32 head_dim=128 "
      "variant=linear value_dim=96 queries=1 context=64 sequences=2 mode=graph time_us=10"}},
    {"z9__alltoall.csv",
     AIC "moe_dtype,num_tokens,hidden_size,topk,num_experts,moe_ep_size,num_nodes,latency\n" WHO
         "alltoall_prepare,NVLinkTwoSided,nvfp4,64,7168,8,256,8,2,0.01\n" WHO
         "alltoall_dispatch,NVLinkTwoSided,nvfp4,64,7168,8,256,8,2,0.01\n",
     {"kind=collective device=NVIDIA Z9 version=1.2 kernel=NVLinkTwoSided dtype=nvfp4 "
      "weight_bits=4.5 activation_bits=4.5 hidden=7168 experts=256 top_k=8 tokens=64 "
      "collective=dispatch algorithm=NVLinkTwoSided ranks=8 nodes=2 mode=graph time_us=10"}},
    {"z9__mla.csv",
     AIC "mla_dtype,kv_cache_dtype,batch_size,isl,tp_size,step,latency\n" WHO
         "mla_context,k,bf16,bf16,1,64,4,0,0.01\n",
     {"kind=attention device=NVIDIA Z9 version=1.2 kernel=k dtype=bf16 kv_dtype=bf16 "
      "weight_bits=16 activation_bits=16 kv_bits=16 hidden=7168 tp=4 heads=32 kv_heads=32 "
      "head_dim=128 variant=mla kv_rank=512 rope_dim=64 value_dim=128 q_rank=1536 queries=64 "
      "context=64 sequences=1 mode=plain time_us=10"}},
    {"z9__wideep_moe.csv",
     AIC "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,num_slots,moe_tp_size,"
         "moe_ep_size,distribution,latency\n" WHO
         "moe,k,awq,64,512,256,2,8,12,1,4,power_law_1.01_eplb,0.01\n",
     {"kind=experts device=NVIDIA Z9 version=1.2 kernel=k dtype=int4_wo weight_bits=4.125 "
      "activation_bits=16 hidden=512 width=256 matrices=3 experts=3 top_k=2 ep=4 tokens=64 "
      "distribution=balanced calls=1 mode=graph time_us=10"}},
    {"data_profiling_compute_z9_some_moe_moe.csv",
     "time_stats.moe_grouped_gemm.median,time_stats.moe_shuffling.median,num_tokens,num_experts,"
     "num_experts_per_device,expert_parallel_size,router_topk,hidden_dim,expert_hidden_dim,"
     "use_gated,num_tensor_parallel_workers,total_routed_tokens,expert_utilization,"
     "load_imbalance_cv,max_load_ratio\n"
     "0.5,0.1,10,8,4,2,2,512,256,True,2,20,0.75,1.0,2.0\n0.5,,10,8,4,2,2,512,256,False,2,,,,\n",
     {"kind=experts device=z9 version=in-turn dtype=bf16 weight_bits=16 activation_bits=16 "
      "hidden=512 width=128 "
      "matrices=3 experts=4 top_k=2 tp=2 tokens=10 distinct=3 loads=10;9;1 mode=plain time_us=500",
      "kind=operation device=z9 version=in-turn kernel=moe_shuffling dtype=bf16 weight_bits=16 "
      "activation_bits=16 hidden=512 experts=8 top_k=2 tokens=10 operation=permute mode=plain "
      "time_us=100",
      "kind=experts device=z9 version=in-turn dtype=bf16 weight_bits=16 activation_bits=16 "
      "hidden=512 width=128 "
      "matrices=2 experts=4 top_k=2 tp=2 tokens=10 distinct=4 loads=5;5;5;5 mode=plain "
      "time_us=500"}},
    {"data_profiling_compute_z9_some_mlp.csv",
     "time_stats.input_layernorm.median,time_stats.attn_pre_proj.median,n_head,n_kv_head,n_embd,"
     "n_expanded_embd,vocab_size,use_gated_mlp,num_tokens,num_tensor_parallel_workers\n"
     "0.02,0.06,16,4,2048,1408,1000,True,64,2\n",
     {"kind=gemm device=z9 version=in-turn kernel=attn_pre_proj dtype=bf16 weight_bits=16 "
      "activation_bits=16 m=64 n=1536 k=2048 mode=plain time_us=60",
      "kind=operation device=z9 version=in-turn kernel=input_layernorm dtype=bf16 weight_bits=16 "
      "activation_bits=16 hidden=2048 tp=2 tokens=64 operation=norm mode=plain time_us=20"}},
    /* A profiler's nanoseconds, an event's single; with a head the device does not wait. */
    {"data_profiling_compute_z9_some_linear_op.csv",
     METHODS "0.02,0.019,0.021,0.0276159998,0.0276159998,0.029,,0.06,16,4,2048,768,1000,False,64,2,"
             "CUDA_EVENT\n",
     {"kind=gemm device=z9 kernel=attn_pre_proj dtype=bf16 weight_bits=16 activation_bits=16 m=64 "
      "n=1536 k=2048 mode=plain time_us=60",
      "kind=operation device=z9 kernel=input_layernorm dtype=bf16 weight_bits=16 "
      "activation_bits=16 hidden=2048 tp=2 tokens=64 operation=norm mode=graph time_us=20",
      "kind=operation device=z9 kernel=attn_rope dtype=bf16 weight_bits=16 activation_bits=16 "
      "hidden=2048 tp=2 tokens=64 heads=8 kv_heads=2 head_dim=128 operation=rope mode=plain "
      "time_us=27.6159998"}},
    {"data_profiling_compute_z9_some_linear_op.csv",
     METHODS ",,,,,,0.4,0.06,16,4,2048,768,1000,True,64,2,CUDA_EVENT\n",
     {"kind=gemm device=z9 kernel=lm_head_linear dtype=bf16 weight_bits=16 activation_bits=16 m=64 "
      "n=500 k=2048 mode=graph time_us=400",
      "kind=operation device=z9 kernel=attn_pre_proj dtype=bf16 weight_bits=16 activation_bits=16 "
      "hidden=2048 tp=2 tokens=64 heads=8 kv_heads=2 head_dim=128 operation=qkv_norm mode=graph "
      "time_us=60"}},
    {"data_profiling_compute_z9_some_moe_moe.csv",
     "time_stats.moe_grouped_gemm.median,time_stats.moe_gating_routing_topk.median,num_tokens,"
     "num_experts,num_experts_per_device,expert_parallel_size,router_topk,hidden_dim,"
     "expert_hidden_dim,num_tensor_parallel_workers,routing_runtime_path,gating_runtime_context,"
     "measurement_type\n"
     ",0.1,1024,8,4,2,2,512,256,2,uniform_topk,prefill_hot,CUDA_EVENT\n"
     ",0.3,16,8,4,2,2,512,256,2,uniform_topk,prefill_hot,CUDA_EVENT\n",
     {"kind=operation device=z9 kernel=uniform_topk dtype=bf16 weight_bits=16 activation_bits=16 "
      "hidden=512 experts=8 top_k=2 tokens=1024 operation=top_k mode=graph time_us=100",
      "kind=operation device=z9 kernel=uniform_topk dtype=bf16 weight_bits=16 activation_bits=16 "
      "hidden=512 experts=8 top_k=2 tokens=16 operation=top_k mode=plain time_us=300"}},
    {"profiler_perf_Z9_Some_Mixtral-8x7B_bf16_tp2_moe.csv",
     "tokens,activated_experts,time_us\n4,6,500\n",
     {"kind=experts device=Z9 dtype=bf16 weight_bits=16 activation_bits=16 hidden=4096 width=7168 "
      "matrices=3 experts=8 top_k=2 tp=2 tokens=4 distinct=6 loads=2;2;1;1;1;1 mode=plain "
      "time_us=500"}},
    {"profiler_perf_Z9_Some_Mixtral-8x7B_bf16_tp1_dense.csv",
     "layer,tokens,time_us\nqkv_proj,4,50\nlayernorm,4,3\n",
     {"kind=gemm device=Z9 kernel=qkv_proj dtype=bf16 weight_bits=16 activation_bits=16 m=4 n=6144 "
      "k=4096 mode=plain time_us=50",
      "kind=operation device=Z9 kernel=layernorm dtype=bf16 weight_bits=16 activation_bits=16 "
      "hidden=4096 tokens=4 heads=32 kv_heads=8 head_dim=128 operation=norm mode=plain "
      "time_us=3"}},
    {"deepgemm_dense_z9.csv",
     "M,N,K,Computation,Memory bandwidth,Speedup\n1000,2000,500,200 TFLOPS,9 GB/s,1x\n",
     {"kind=gemm device=z9 kernel=deepgemm dtype=fp8_block weight_bits=8 activation_bits=8 m=1000 "
      "n=2000 k=500 mode=graph time_us=10"}},
    {"deepgemm_grouped_masked_z9.csv",
     "#Groups,M per group,N,K,Computation,Memory bandwidth,Speedup\n"
     "2,1000,2000,500,200 TFLOPS,9 GB/s,1x\n",
     {"kind=experts device=z9 kernel=deepgemm_masked dtype=fp8_block weight_bits=8 "
      "activation_bits=8 part=up hidden=500 width=1000 matrices=3 experts=2 top_k=1 tokens=2000 "
      "distinct=2 loads=1000;1000 mode=plain time_us=20"}},
    {"deepep_v1_normal_z9.csv",
     "Type,Dispatch #EP,Bottleneck bandwidth,Combine #EP,Bottleneck bandwidth\n"
     "Internode,16,50 GB/s (RDMA),16,100 GB/s (RDMA)\n",
     {"kind=collective device=z9 dtype=fp8 weight_bits=8 activation_bits=8 hidden=7168 experts=256 "
      "top_k=8 tokens=4096 collective=dispatch algorithm=deepep_normal ranks=16 nodes=2 mode=plain "
      "time_us=1206.46",
      "kind=collective device=z9 dtype=bf16 weight_bits=16 activation_bits=16 hidden=7168 "
      "experts=256 top_k=8 tokens=4096 collective=combine algorithm=deepep_normal ranks=16 nodes=2 "
      "mode=plain time_us=1169.9"}},
};

/* Equal but for numbers that differ in their last digits ("time_us=12.3"). */
static bool
alike(const char *got, const char *wanted)
{
    g_auto(GStrv) a = g_strsplit(got, " ", -1), b = g_strsplit(wanted, " ", -1);
    size_t i = 0;
    for (; a[i] && b[i]; i++) {
        bool time = g_str_has_prefix(b[i], "time_us=");
        if (time ? fabs(g_ascii_strtod(a[i] + 8, NULL) / g_ascii_strtod(b[i] + 8, NULL) - 1) > 1e-4
                 : strcmp(a[i], b[i]))
            return false;
    }
    return !a[i] && !b[i];
}

static void
reads(void)
{
    for (size_t i = 0; i < MOE_COUNT(tables); i++) {
        g_autoptr(moe_measured) table = parse(tables[i].file, tables[i].text, NULL);
        size_t n = 0;
        while (n < MOE_COUNT(tables[i].rows) && tables[i].rows[n])
            n++;
        MOE_CHECK(moe_measured_count(table) == n, "%s: %zu rows, not %zu", tables[i].file,
                  moe_measured_count(table), n);
        for (size_t r = 0; r < MIN(n, moe_measured_count(table)); r++) {
            g_autofree char *got = row_text(moe_measured_at(table, r));
            MOE_CHECK(alike(got, tables[i].rows[r]), "%s, row %zu:\n%s\n%s", tables[i].file, r, got,
                      tables[i].rows[r]);
        }
    }
}

#define MOE_HEAD                                                                                   \
    AIC "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,"    \
        "distribution,latency\n"

/* Two shapes that are cut to one name for what the tuner found, or to one that begins the other's.
 */
static void
shared_tuning(void)
{
#define TRT "TRTLLM,1.3.0rc20,NVIDIA Z9,moe,"
    static const char text[] = MOE_HEAD TRT
        "moe_torch_flow_cutlass,fp8,3,64,96,2,8,2,2,balanced,0.25\n"           /* 64_48_4, first */
        TRT "moe_torch_flow_cutlass,fp8,3,64,96,4,16,2,4,balanced,0.25\n"      /* 64_48_4, second */
        TRT "moe_torch_flow_cutlass,fp8,3,64,96,2,8,1,8,balanced,0.25\n"       /* 64_96_1 */
        TRT "moe_torch_flow_cutlass,fp8,3,64,96,2,12,1,1,balanced,0.25\n"      /* 64_96_12 */
        TRT "moe_torch_flow_cutlass,bfloat16,3,64,96,2,8,1,1,balanced,0.25\n"  /* alone */
        TRT "moe_torch_flow_cutlass,fp8_block,3,64,96,2,8,2,2,balanced,0.25\n" /* not tuned */
        TRT "moe_torch_flow_cutlass,fp8_block,3,64,96,4,16,2,4,balanced,0.25\n" WHO
        "moe,cutlass,fp8,3,64,96,2,8,1,8,balanced,0.25\n"; /* another framework */
    static const bool odd[] = {true, true, true, false, false, false, false, false};
    g_autoptr(moe_measured) table = parse("moe_perf.csv", text, NULL);
    CU_ASSERT_EQUAL_FATAL(moe_measured_count(table), MOE_COUNT(odd));
    for (size_t i = 0; i < MOE_COUNT(odd); i++)
        MOE_CHECK((*moe_measured_at(table, i)->odd != 0) == odd[i], "row %zu: '%s'", i,
                  moe_measured_at(table, i)->odd);
#undef TRT
}

/* DeepSeek-V3's router is run by vLLM's bench, not by TensorRT-LLM's: five experts and one. */
static void
routers(void)
{
    static const char text[] = MOE_HEAD
        "VLLM,0.24.0,Z9,moe,vllm_tritonexperts,fp8_block,1,7168,2048,8,256,1,8,balanced,0.25\n"
        "TRTLLM,1.3,Z9,moe,moe_torch_flow,fp8_block,1,7168,2048,8,256,1,8,balanced,0.25\n"
        "SGLang,0.5.14,Z9,moe,sglang_fused,fp8_block,1,7168,2048,8,256,1,8,balanced,0.25\n"
        "VLLM,0.24.0,Z9,moe,vllm_tritonexperts,fp8_block,1,7168,2048,8,384,1,8,balanced,0.25\n";
    static const int64_t distinct[] = {5, 1, 5, 1}, calls[] = {1, 1, 5, 1};
    g_autoptr(moe_measured) table = parse("moe_perf.csv", text, NULL);
    CU_ASSERT_EQUAL_FATAL(moe_measured_count(table), MOE_COUNT(distinct));
    for (size_t i = 0; i < MOE_COUNT(distinct); i++)
        MOE_CHECK(moe_measured_at(table, i)->distinct == distinct[i] &&
                      moe_measured_at(table, i)->calls == calls[i],
                  "row %zu: %lld", i, (long long)moe_measured_at(table, i)->distinct);
}

static void
refuses(void)
{
    static const struct {
        const char *file, *text, *said;
    } wrong[] = {
        {"t.csv", MOE_HEAD WHO "moe,k,fp9,3,64,96,2,8,1,1,balanced,0.2\n",
         "t.csv:2:26: error: 'fp9' is no known moe_dtype: bfloat16, bf16"},
        {"t.csv", MOE_HEAD WHO "moe,k,fp8,3,64,96,2,8,1,1,zipf,0.2\n",
         "t.csv:2:46: error: 'zipf' is no known distribution: balanced, uniform, power_law_A"},
        {"t.csv", MOE_HEAD WHO "moe,k,fp8,many,64,96,2,8,1,1,balanced,0.2\n",
         "t.csv:2:30: error: 'num_tokens' wants a whole number from 1, not 'many'"},
        {"t.csv", MOE_HEAD WHO "moe,k,fp8,3,64,96,2,8,1,1,balanced\n",
         "t.csv:2: error: 14 fields, but the header names 15 columns"},
        {"t.csv", AIC "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size\n",
         "t.csv:1: error: a table like 'aiconfigurator moe_perf' lacks the columns 'latency', "
         "'moe_ep_size', 'distribution'"},
        /* seconds */
        {"t.csv", MOE_HEAD WHO "moe,k,fp8,4096,4096,14336,2,8,1,1,balanced,0.001\n",
         "t.csv:2: error: 1 of 1 rows cannot be, this one first: above 20 PFLOPS"},
        {"t.csv", AIC "nccl_dtype,num_gpus,message_size,latency\n" WHO "all_swap,k,half,8,9,1\n",
         "t.csv:2:20: error: 'all_swap' is no known collective: all_reduce"},
        {"t.csv", AIC "nccl_dtype,num_gpus,message_size,num_gpus,latency\n",
         "t.csv:1:81: error: column 'num_gpus' twice"},
        {"plain.csv", "dtype,kv_dtype,batch_size,kv_len,latency_us,mfu\nbf16,bf16,4,1000,30,0.1\n",
         "plain.csv: error: an InferSim table says its device and shape in its name"},
        {"profiler_perf_Z9_Some_Nobody_bf16_tp1_moe.csv",
         "tokens,activated_experts,time_us\n4,6,5\n",
         "profiler_perf_Z9_Some_Nobody_bf16_tp1_moe.csv: error: the shapes are those of a model"},
        {"deepgemm_dense_z9.csv", "M,N,K,Computation,Memory bandwidth,Speedup\n1,2,5,fast,9,1x\n",
         "deepgemm_dense_z9.csv:2:7: error: 'Computation' wants a number of TFLOPS"},
    };
    for (size_t i = 0; i < MOE_COUNT(wrong); i++) {
        g_autofree char *said = NULL;
        g_autoptr(moe_measured) table = parse(wrong[i].file, wrong[i].text, &said);
        MOE_CHECK(g_str_has_prefix(said, wrong[i].said), "case %zu: %s", i, said);
    }
}

/* Some rows that cannot be are left out with a warning; further columns are named in a note. */
static void
notes(void)
{
    g_autoptr(GString) text = g_string_new("m,k,n,latency_us,mfu,mood\n");
    g_autofree char *said = NULL;
    size_t n = 0;
    for (int i = 0; i < 20; i++)
        g_string_append_printf(text, "%d,64,64,%s,0.1,good\n", i + 1, i == 7 ? "0" : "5");
    g_autoptr(moe_measured) table = parse("bench_data_gemm_z9_data.csv", text->str, &said);
    CU_ASSERT_EQUAL(moe_measured_count(table), 19);
    MOE_CHECK(strstr(said, "_data.csv:9: warning: 1 of 20 rows are left out, this one first: it "
                           "took no time"),
              "%s", said);
    const char *const *notes = moe_measured_notes(table, &n);
    CU_ASSERT_EQUAL_FATAL(n, 2);
    CU_ASSERT_STRING_EQUAL(notes[0],
                           "bench_data_gemm_z9_data.csv: columns that are not used: mood");
    CU_ASSERT_STRING_EQUAL(notes[1], "bench_data_gemm_z9_data.csv: device 'z9' by the file's name");
}

/* What is not modelled is left out with a word, and refused where nothing else is there. */
static void
skips(void)
{
#define DSA_HEAD                                                                                   \
    AIC "architecture,mla_dtype,kv_cache_dtype,gemm_type,num_heads,batch_size,isl,step,latency\n"
    g_autofree char *some = NULL, *none = NULL;
    g_autoptr(moe_measured) table =
        parse("z9__dsa.csv",
              DSA_HEAD WHO "dsa_context_module,k,GlmMoeDsaForCausalLM,bf16,fp8,fp8_block,64,1,64,"
                           "0,1\n" WHO "dsa_context_module_skip_indexer,k,GlmMoeDsaForCausalLM,"
                           "bf16,fp8,fp8_block,64,1,64,0,1\n",
              &some);
    CU_ASSERT_EQUAL_FATAL(moe_measured_count(table), 1);
    CU_ASSERT_EQUAL(moe_measured_at(table, 0)->head_dim, 192);
    CU_ASSERT_EQUAL(moe_measured_at(table, 0)->hidden, 6144);
    MOE_CHECK(strstr(some, "z9__dsa.csv:3: warning: rows are left out as not modelled, this one "
                           "first: a layer that selects its keys"),
              "%s", some);
    g_autoptr(moe_measured) other =
        parse("z9__dsv4.csv",
              DSA_HEAD WHO "dsv4_csa_context_module,k,DeepseekV4ForCausalLM,bf16,fp8,fp8_block,64,"
                           "1,64,0,1\n",
              &none);
    CU_ASSERT_EQUAL(moe_measured_count(other), 0);
    MOE_CHECK(strstr(none, "z9__dsv4.csv:2: warning: all rows are left out as not modelled, this "
                           "one first: DeepSeek-V4's"),
              "%s", none);
}

MOE_TESTS({"shared_tuning", shared_tuning}, {"routers", routers}, {"reads", reads},
          {"refuses", refuses}, {"notes", notes}, {"skips", skips})
