/* Entries by expert, against counting on the host. */
#include "tests/cuda/harness.cuh"

#include "profiler/cuda/dispatch.cuh"

/* Distinct experts for each row; skewed: nearly all rows choose the first ones. */
static std::vector<uint16_t>
choose(uint32_t n, uint32_t experts, uint32_t k, bool skewed)
{
    std::vector<uint16_t> ids(static_cast<size_t>(n) * k);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < k; j++) {
            bool taken;
            uint32_t e;
            do {
                e = skewed && random_bits() % 16 ? random_bits() % (k + 1) : random_bits();
                e %= experts;
                taken = false;
                for (uint32_t l = 0; l < j; l++)
                    taken |= ids[i * k + l] == e;
            } while (taken);
            ids[i * k + j] = static_cast<uint16_t>(e);
        }
    return ids;
}

static void
compare(uint32_t n, uint32_t experts, uint32_t k, const std::vector<uint16_t> &ids)
{
    std::vector<std::vector<uint32_t>> rows(experts);
    for (uint32_t i = 0; i < n * k; i++)
        if (ids[i] < experts)
            rows[ids[i]].push_back(i / k);

    array<uint8_t> block(moe_cuda_dispatch_bytes(n + 3, experts, k));
    moe_cuda_dispatch d = moe_cuda_dispatch_at(block.at, n + 3, experts, k);
    array<uint16_t> dids(ids);
    MUST(moe_cuda_dispatch_fill(nullptr, &d, dids.at, n));
    std::vector<uint8_t> bytes = block.get();
    auto host = [&](const void *at) {
        return bytes.data() + (static_cast<const uint8_t *>(at) - block.at);
    };
    const uint32_t *offset = reinterpret_cast<const uint32_t *>(host(d.offset));
    const uint32_t *row = reinterpret_cast<const uint32_t *>(host(d.row));
    const uint32_t *place = reinterpret_cast<const uint32_t *>(host(d.place));
    const uint32_t *items = reinterpret_cast<const uint32_t *>(host(d.items));
    const auto *streamed = reinterpret_cast<const moe_cuda_item *>(host(d.streamed));
    const auto *tiled = reinterpret_cast<const moe_cuda_item *>(host(d.tiled));
    uint32_t at = 0, streams = 0, tiles = 0;

    for (uint32_t e = 0; e < experts; e++) {
        const uint32_t count = static_cast<uint32_t>(rows[e].size());
        CHECK(offset[e] == at, "n %u expert %u: offset %u, want %u", n, e, offset[e], at);
        for (uint32_t i = 0; i < count; i++) {
            CHECK(row[at + i] == rows[e][i], "n %u expert %u entry %u: row %u, want %u", n, e, i,
                  row[at + i], rows[e][i]);
            for (uint32_t j = 0; j < k; j++)
                if (ids[rows[e][i] * k + j] == e)
                    CHECK(place[rows[e][i] * k + j] == at + i, "n %u row %u: place %u, want %u", n,
                          rows[e][i], place[rows[e][i] * k + j], at + i);
        }
        if (count > 0 && count <= MOE_STREAMED_ROWS) {
            const moe_cuda_item *s = &streamed[streams++];
            CHECK(s->expert == e && s->first == at && s->n == count, "n %u expert %u", n, e);
        }
        for (uint32_t i = 0; count > MOE_STREAMED_ROWS && i < count; i += MOE_TILE_ROWS) {
            const uint32_t here = count - i < MOE_TILE_ROWS ? count - i : MOE_TILE_ROWS;
            const moe_cuda_item *t = &tiled[tiles++];
            CHECK(t->expert == e && t->first == at + i && t->n == here, "n %u expert %u", n, e);
        }
        at += count;
    }
    CHECK(offset[experts] == at, "n %u: %u entries, want %u", n, offset[experts], at);
    CHECK(items[0] == streams && items[1] == tiles, "n %u: %u %u items, want %u %u", n, items[0],
          items[1], streams, tiles);
    for (uint32_t i = 0; i < n * k; i++)
        if (ids[i] >= experts)
            CHECK(place[i] == UINT32_MAX, "n %u: no expert is at %u", n, place[i]);
}

static void
shapes()
{
    static const uint32_t all[][3] = {
        {1, 8, 2},      {3, 64, 8},    {17, 60, 4},    {256, 32, 4},   {257, 8, 2},
        {1000, 128, 8}, {2049, 33, 3}, {300, 1024, 6}, {40, 1024, 64}, {5, 1, 1},
    };
    for (const uint32_t *s : all)
        for (int skewed = 0; skewed < 2; skewed++)
            compare(s[0], s[1], s[2], choose(s[0], s[1], s[2], skewed && s[2] < s[1]));
}

static void
all_rows()
{
    const uint32_t n = MOE_CUDA_MAX_ROWS;
    std::vector<uint16_t> ids(n);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = static_cast<uint16_t>(i % 3 ? i % 5 : 0);
    compare(n, 6, 1, ids);
}

static void
some_have_none()
{
    std::vector<uint16_t> ids = choose(700, 16, 4, false);
    for (size_t i = 0; i < ids.size(); i += 3)
        ids[i] = i % 2 ? 0xFFFF : 16;
    compare(700, 16, 4, ids);
    compare(90, 16, 4, std::vector<uint16_t>(ids.begin(), ids.begin() + 360));
}

TESTS(shapes, all_rows, some_have_none)
