#include "profiler/profile_schema.h"

/* clang-format off */
const char moe_profile_sql[] =
    /* tool, source (moesim, nsys, torch), version, clock, argv, host, cupti, driver, exit_status … */
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE string(id INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE);"
    /* attach: full, nvtx, route, none; ended: exit, signal N, killed (no closing chunk) */
    "CREATE TABLE process(pid INTEGER PRIMARY KEY, parent INTEGER, rank INTEGER, name TEXT,"
    " start_ns INTEGER, end_ns INTEGER, realtime_offset_ns INTEGER, attach TEXT NOT NULL,"
    " ended TEXT);"
    /* kind: thread, category (of a domain): what the program calls them */
    "CREATE TABLE named(pid INTEGER NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL,"
    " domain TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY(pid, kind, number, domain))"
    " WITHOUT ROWID;"
    "CREATE TABLE device(pid INTEGER NOT NULL, device INTEGER NOT NULL, uuid TEXT, name TEXT,"
    " capability TEXT, sms INTEGER, memory_bytes INTEGER, memory_clock_khz INTEGER,"
    " PRIMARY KEY(pid, device)) WITHOUT ROWID;"
    "CREATE TABLE diagnostic(id INTEGER PRIMARY KEY, pid INTEGER, time_ns INTEGER,"
    " severity TEXT NOT NULL CHECK(severity IN('info', 'warn', 'error')), code TEXT NOT NULL,"
    " text TEXT NOT NULL, n INTEGER NOT NULL DEFAULT 1);"
    /* cupti.dropped, cupti.buffer_denied, cupti.no_timestamp, cupti.unknown_kind.K, cupti.truncated,
       route.lost, range.lost, log.full, log.damaged */
    "CREATE TABLE loss(pid INTEGER NOT NULL, source TEXT NOT NULL, what TEXT NOT NULL,"
    " n INTEGER NOT NULL, PRIMARY KEY(pid, source, what)) WITHOUT ROWID;"
    /* range: id of the innermost one that the launch was made in. stage, layer: of the innermost stage
       around it, or, of a kernel in a graph, around the creation of its node; step: of the launch.
       NULL outside */
    "CREATE TABLE kernel(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, device INTEGER,"
    " context INTEGER, stream INTEGER, correlation INTEGER, graph INTEGER, graph_node INTEGER,"
    " start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, name INTEGER REFERENCES string(id),"
    " grid_x INTEGER, grid_y INTEGER, grid_z INTEGER, block_x INTEGER, block_y INTEGER,"
    " block_z INTEGER, registers INTEGER, shared_static INTEGER, shared_dynamic INTEGER,"
    " cluster_x INTEGER, range INTEGER, step INTEGER, layer INTEGER, stage TEXT);"
    /* kind: memcpy, memset; direction: HtoD, DtoH, DtoD, PtoP …; pinned: 1, 0, NULL unknown */
    "CREATE TABLE memop(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, device INTEGER,"
    " context INTEGER, stream INTEGER, correlation INTEGER, graph_node INTEGER, kind TEXT NOT NULL,"
    " start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, bytes INTEGER, direction TEXT,"
    " pinned INTEGER, range INTEGER, step INTEGER, layer INTEGER, stage TEXT);"
    /* domain: runtime, driver */
    "CREATE TABLE api(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, thread INTEGER,"
    " correlation INTEGER, domain TEXT NOT NULL, name INTEGER REFERENCES string(id),"
    " start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, result INTEGER, range INTEGER);"
    /* launches of whole graphs, when kernels inside are not recorded one by one */
    "CREATE TABLE graph_launch(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, device INTEGER,"
    " stream INTEGER, correlation INTEGER, graph INTEGER, start_ns INTEGER NOT NULL,"
    " end_ns INTEGER NOT NULL, range INTEGER, step INTEGER);"
    /* the host waits: event, stream, context; or a stream waits for an event */
    "CREATE TABLE synchronization(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, context INTEGER,"
    " stream INTEGER, correlation INTEGER, kind TEXT, start_ns INTEGER NOT NULL,"
    " end_ns INTEGER NOT NULL);"
    "CREATE TABLE overhead(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, thread INTEGER, kind TEXT,"
    " start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL);"
    /* what others than ranges pushed: OpenACC, PyTorch's own numbers … */
    "CREATE TABLE external(pid INTEGER NOT NULL, correlation INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(pid, correlation, kind, id))"
    " WITHOUT ROWID;"
    /* range: as in the raw log; kind push, start, mark; end_ns NULL: never closed */
    "CREATE TABLE range(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, range INTEGER,"
    " thread INTEGER, kind TEXT NOT NULL, domain TEXT, text TEXT, category INTEGER,"
    " start_ns INTEGER NOT NULL, end_ns INTEGER, depth INTEGER, parent INTEGER, payload);"
    /* ranges of the domain "moesim" (or known engines' names), read: what is computed for whom */
    "CREATE TABLE stage(range INTEGER PRIMARY KEY REFERENCES range(id), pid INTEGER NOT NULL,"
    " step INTEGER, layer INTEGER, stage TEXT NOT NULL, start_ns INTEGER NOT NULL,"
    " end_ns INTEGER NOT NULL);"
    "CREATE TABLE step(pid INTEGER NOT NULL, step INTEGER NOT NULL, phase TEXT, tokens INTEGER,"
    " sequences INTEGER, start_ns INTEGER NOT NULL, end_ns INTEGER, PRIMARY KEY(pid, step))"
    " WITHOUT ROWID;"
    /* ids: little-endian 16-bit [tokens, k]; weights: 32-bit floats [tokens, k] or NULL */
    "CREATE TABLE routing(pid INTEGER NOT NULL, step INTEGER NOT NULL, layer INTEGER NOT NULL,"
    " token0 INTEGER NOT NULL, tokens INTEGER NOT NULL, k INTEGER NOT NULL,"
    " ids BLOB NOT NULL CHECK(length(ids) = tokens * k * 2), weights BLOB,"
    " PRIMARY KEY(pid, step, layer, token0)) WITHOUT ROWID;"
    /* who the rows of a step are; little-endian 32-bit, NULL: not told. -1 within: unknown */
    "CREATE TABLE token(pid INTEGER NOT NULL, step INTEGER NOT NULL, token0 INTEGER NOT NULL,"
    " tokens INTEGER NOT NULL, sequence BLOB, position BLOB, token_id BLOB,"
    " PRIMARY KEY(pid, step, token0)) WITHOUT ROWID;"
    /* how many tokens went to each expert: what kernel time is compared with */
    "CREATE TABLE load(pid INTEGER NOT NULL, step INTEGER NOT NULL, layer INTEGER NOT NULL,"
    " expert INTEGER NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY(pid, step, layer, expert))"
    " WITHOUT ROWID;"
    "CREATE TABLE counter(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, device INTEGER,"
    " place INTEGER, range TEXT NOT NULL, layer INTEGER, stage TEXT, pass INTEGER,"
    " metric TEXT NOT NULL, value REAL);"
    /* what queries written for nsys exports ask */
    "CREATE VIEW StringIds AS SELECT id, value FROM string;"
    "CREATE VIEW CUPTI_ACTIVITY_KIND_KERNEL AS SELECT start_ns AS start, end_ns AS \"end\","
    " device AS deviceId, context AS contextId, stream AS streamId, correlation AS correlationId,"
    " pid << 24 AS globalPid, name AS demangledName, name AS shortName, name AS mangledName,"
    " registers AS registersPerThread, grid_x AS gridX, grid_y AS gridY, grid_z AS gridZ,"
    " block_x AS blockX, block_y AS blockY, block_z AS blockZ, shared_static AS staticSharedMemory,"
    " shared_dynamic AS dynamicSharedMemory, graph AS graphId, graph_node AS graphNodeId"
    " FROM kernel;"
    "CREATE VIEW CUPTI_ACTIVITY_KIND_MEMCPY AS SELECT start_ns AS start, end_ns AS \"end\","
    " device AS deviceId, context AS contextId, stream AS streamId, correlation AS correlationId,"
    " pid << 24 AS globalPid, bytes, CASE direction WHEN 'HtoD' THEN 1 WHEN 'DtoH' THEN 2"
    " WHEN 'DtoD' THEN 8 WHEN 'HtoH' THEN 9 WHEN 'PtoP' THEN 10 ELSE 0 END AS copyKind,"
    " graph_node AS graphNodeId FROM memop WHERE kind = 'memcpy';"
    "CREATE VIEW CUPTI_ACTIVITY_KIND_MEMSET AS SELECT start_ns AS start, end_ns AS \"end\","
    " device AS deviceId, context AS contextId, stream AS streamId, correlation AS correlationId,"
    " pid << 24 AS globalPid, bytes FROM memop WHERE kind = 'memset';"
    "CREATE VIEW CUPTI_ACTIVITY_KIND_RUNTIME AS SELECT start_ns AS start, end_ns AS \"end\","
    " (pid << 24) | thread AS globalTid, correlation AS correlationId, name AS nameId,"
    " result AS returnValue FROM api;"
    "CREATE VIEW NVTX_EVENTS AS SELECT start_ns AS start, end_ns AS \"end\","
    " CASE kind WHEN 'mark' THEN 34 WHEN 'start' THEN 60 ELSE 59 END AS eventType, range AS rangeId,"
    " category, text, (pid << 24) | thread AS globalTid, NULL AS textId, domain AS domainId,"
    " payload AS uint64Value FROM range;";

const char moe_profile_index_sql[] =
    "CREATE INDEX kernel_correlation ON kernel(pid, correlation);"
    "CREATE INDEX memop_correlation ON memop(pid, correlation);"
    "CREATE INDEX api_correlation ON api(pid, correlation);"
    "CREATE INDEX kernel_time ON kernel(pid, device, start_ns);"
    "CREATE INDEX range_time ON range(pid, thread, start_ns);";
/* clang-format on */
