/* Where a capture computes: on the processor, or on a CUDA device. */
#include "sim/cli/capture_backend.h"

#include "profiler/cpu/blas.h"
#include "sim/base/error.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"

#include <string.h>

#define COMMAND "moesim capture"

int
moe_capture_backend_usage(const moe_capture_values *v)
{
    bool cuda = v->backend != MOE_CLI_BACKEND_CPU;
    if (v->exact && cuda)
        return moe_say_usage(COMMAND, "'--exact' is of the processor: no '--backend %s' with it",
                             v->backend == MOE_CLI_BACKEND_CUDA ? "cuda" : "auto");
    if ((v->eager || v->grouped || v->precision) && !cuda)
        return moe_say_usage(COMMAND, "'--%s' is of CUDA devices: it wants '--backend cuda'",
                             v->eager     ? "eager"
                             : v->grouped ? "grouped"
                                          : "precision");
    if (v->offload_home == MOE_CLI_HOME_DRAM && v->backend == MOE_CLI_BACKEND_CPU)
        return moe_say_usage(COMMAND, "'--offload-home dram' wants '--backend cuda': here the "
                                      "cache is in memory, and the experts' home the disk");
    if (v->offload_home && !v->offload)
        return moe_say_usage(COMMAND,
                             "'--offload-home' says where '--offload SIZE' leaves experts");
    if (v->grouped && v->offload)
        return moe_say_usage(COMMAND, "'--grouped cublas' wants all experts on the device: no "
                                      "'--offload' with it");
    return MOE_EXIT_OK;
}

int
moe_capture_backend_open(moe_capture_job *job)
{
    const moe_capture_values *v = job->values;
    const moe_gpu_config config = {
        .precision = (moe_gpu_precision)v->precision,
        .eager = v->eager,
        .grouped_blas = v->grouped == MOE_CLI_GROUPED_CUBLAS,
    };
    GError *error = NULL;
    if (v->backend == MOE_CLI_BACKEND_CPU)
        return MOE_EXIT_OK;
    job->gpu = moe_gpu_open(&config, &error);
    if (!job->gpu && v->backend == MOE_CLI_BACKEND_CUDA)
        return moe_say_error(error);
    if (!job->gpu) {
        moe_say("%s", error->message);
        moe_say("falling back to the cpu backend (no GPU timing will be recorded)");
        g_error_free(error);
        return MOE_EXIT_OK;
    }
    job->config.backend = &moe_backend_cuda;
    job->config.device = job->gpu;
    return MOE_EXIT_OK;
}

const moe_expert_cache *
moe_capture_backend_slots(const moe_capture_job *job)
{
    bool dram = job->values->offload_home == MOE_CLI_HOME_DRAM;
    return job->gpu ? moe_gpu_expert_cache(job->gpu, moe_weights_get(job->weights), dram) : NULL;
}

char *
moe_capture_backend_engine(const moe_capture_job *job)
{
    const char *blas = moe_blas_name();
    if (!job->gpu)
        return g_strdup_printf("moesim %s, cpu, %s", MOE_VERSION,
                               job->config.exact ? "exact"
                               : blas            ? blas
                                                 : "plain C");
    const moe_gpu_config *config = moe_gpu_configured(job->gpu);
    return g_strdup_printf(
        "moesim %s, cuda, %s%s%s", MOE_VERSION, moe_gpu_precision_names[config->precision],
        config->eager ? ", eager" : "", config->grouped_blas ? ", cuBLAS grouped GEMM" : "");
}

void
moe_capture_backend_close(moe_capture_job *job)
{
    moe_gpu_close(job->gpu);
    job->gpu = NULL;
}
