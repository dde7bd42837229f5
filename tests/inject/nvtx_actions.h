/* What program.c does with NVTX's real headers. */
#ifndef NVTX_ACTIONS_H
#define NVTX_ACTIONS_H

#ifdef MOE_NVTX
void nvtx_act(const char *what);
#else
static inline void
nvtx_act(const char *what)
{
}
#endif

#endif
