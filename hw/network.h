/* What connects the ranks of a machine: the `network:` section of a hardware description, its
 * levels from the inside out (NVLink within a node, NICs between nodes). Data only; what it costs
 * to move bytes over them is in hw/collective.h and hw/exchange.h.
 *
 * A level joins `ranks` ranks in all, by groups of the level below. Each rank has a port of its own
 * on every level, unless `ports` says that a group of the level below shares that many (the NICs of
 * a node). A port sends and receives at once; rates count one direction.
 *
 * The numbers of the software (NCCL's protocols, DeepEP's kernels) stand beside those of the wires,
 * each with its level; serving engines' own all-reduce kernels have a list of their own
 * (`engines:`), since there are many. Where a rate is unset, the level lacks that way of
 * communicating. */
#ifndef MOE_HW_NETWORK_H
#define MOE_HW_NETWORK_H

#include "sim/base/base.h"

#define MOE_MAX_LEVELS 4
#define MOE_MAX_ENGINES 64

typedef enum moe_level_kind {
    MOE_LEVEL_SWITCH, /* any rank to any other at full rate: NVSwitch, a fat tree */
    MOE_LEVEL_MESH,   /* a wire for each pair: a port's rate divided by its peers */
    MOE_LEVEL_RING,   /* a wire to each of two neighbours */
    MOE_LEVEL_HOST,   /* through the host's PCIe bridges */
} moe_level_kind;

/* One way in which a kernel hands bytes on: what it takes to start, what each step takes before the
 * first byte is through, and the rate. */
typedef struct moe_protocol {
    int64_t base_ps, step_ps;
    double bytes_per_s;
} moe_protocol;

/* One kernel of an exchange by tokens, either way (formulas in hw/exchange.h). On outer levels:
 * what changes in kernels that serve them too; base_ps is further, for each further node, and
 * what is unset is as on the innermost level. */
typedef struct moe_token_kernel {
    int64_t base_ps;
    int64_t hidden_ps;     /* for each element of a token */
    int64_t expert_ps;     /* for each expert: low-latency kernels look at each one's messages */
    int64_t token_ps;      /* an SM's, for each token that it looks at */
    int64_t copy_ps;       /* the same for each copy of a token */
    double sm_bytes_per_s; /* at which an SM copies; 0: not what limits it */
    double extra;          /* further copies' worth of bytes: reading the source, writing the sum */
    double chunk;          /* tokens of an SM that are through before the next hand gets them */
    double share;          /* on outer levels: of its rate that an SM keeps in kernels that serve
                              this level too; 0: all */
    double bytes_per_s;    /* of a rank's port; 0: there is no such kernel */
} moe_token_kernel;

typedef struct moe_level {
    const char *name;
    int kind;      /* moe_level_kind */
    int64_t ranks; /* in one group, over all levels below */
    int64_t ports; /* shared by a group of the level below; 0: one for each rank */
    bool rails;    /* port i of each node leads to ports i of others only at full rate */
    double peak_bytes_per_s, bytes_per_s; /* of a port: nominal; achieved by large transfers */
    int64_t latency_ps;                   /* a message's way */
    int64_t message_ps;                   /* what its sender is busy for, each */
    double copy_bytes_per_s;              /* of a rank's share that stays; 0: free */
    /* A transfer's last piece is handed on only after it came: bytes / depth, at most chunk. */
    int64_t chunk_bytes;
    double depth;
    double ll_most_bytes_per_s; /* that NCCL itself expects of LL; 0: three tenths of the peak */
    moe_protocol ll, ll128, simple; /* simple: at the level's own rate */
    moe_protocol nvls;              /* switches that add; a step for each rank */
    struct {
        int64_t small_ps, bulk_ps, chunk_bytes;
        double small_bytes_per_s; /* one peer's */
        double depth;
    } pairs;                                    /* sends and receives between pairs: all-to-all */
    moe_token_kernel dispatch, combine;         /* high throughput */
    moe_token_kernel low_dispatch, low_combine; /* low latency */
    int64_t notify_ps, notify_node_ps; /* outer levels: counts told before the former, per node */
} moe_level;

/* A serving engine's own all-reduce within the innermost level, by kernels that read their peers'
 * memory: in one shot each rank reads all of the others' vectors, in two it adds its share of them
 * and then reads the others' shares, or the switch adds. */
typedef struct moe_engine {
    const char *name;         /* "vllm-0.19": of this version and later ones */
    int64_t base_ps, step_ps; /* a step for each rank, but in one shot */
    int64_t host_ps;          /* the host's work outside of a CUDA graph, beside the kernel's */
    int64_t limit_bytes;      /* vectors of this size and above are left to NCCL */
    /* Vectors below go in one shot: of 3 and 4 ranks, of more; of 2 ranks all do. */
    int64_t one_shot_bytes, one_shot_many_bytes;
    double bytes_per_s;
    double nvls_bytes_per_s; /* where switches add, of more than 4 ranks; 0: not so */
} moe_engine;

typedef struct moe_network {
    int n_levels, n_engines;
    const moe_level *levels;
    const moe_engine *engines;
} moe_network;

/* The entry of an engine's version, or of the last one before it, else its first; the first of all
 * when there is none of this name. NULL: no entries. */
const moe_engine *moe_network_engine(const moe_network *network, const char *name,
                                     const char *version);

/* Index of the level that joins ranks a and b; -1: the same rank. */
int moe_network_level(const moe_network *network, int64_t a, int64_t b);
/* The lowest level that holds `ranks` ranks; the outermost when none does. */
int moe_network_span(const moe_network *network, int64_t ranks);
/* Whether the network has so many ranks. */
bool moe_network_joins(const moe_network *network, int64_t ranks);
/* Of the levels between nodes up to `span`, the one where a rank has the least: what leaves the
 * node for all of them passes it. 0: there is none. */
int moe_network_narrowest(const moe_network *network, int span);
/* A rank's share of the level's achieved rate, when all ranks of its group send. */
double moe_level_rate(const moe_network *network, int level);
/* All ports of a group of the level below together. */
double moe_level_group_rate(const moe_network *network, int level);

#endif
