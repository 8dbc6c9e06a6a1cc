#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "caffe/util/host_arena.hpp"

namespace caffe {

namespace {

using Piece = std::shared_ptr<void>;

}  // namespace

TEST(HostArenaTest, HandsOutWhatCameBack) {
  HostArena arena;
  Piece first = arena.Take(1000);
  void* const place = first.get();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(place) % 64, 0u);
  first.reset();
  EXPECT_EQ(arena.Take(1000).get(), place);
  EXPECT_EQ(arena.Take(100).get(), place);
  EXPECT_EQ(arena.peak_bytes(), 1024u);
}

TEST(HostArenaTest, JoinsNeighbours) {
  for (const auto& order : {std::vector<int>{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}}) {
    HostArena arena;
    std::vector<Piece> pieces;
    for (int i = 0; i < 3; ++i) pieces.push_back(arena.Take(64 * 10 - 1));
    const Piece last = arena.Take(1);
    const void* const place = pieces[0].get();
    for (const int i : order) pieces[i].reset();
    EXPECT_EQ(arena.Take(64 * 30 - 1).get(), place);
    EXPECT_EQ(arena.peak_bytes(), 64u * 31);
  }
}

// The free end grows, in place of new room beside it.
TEST(HostArenaTest, ExtendsTheLastPiece) {
  HostArena arena;
  const Piece kept = arena.Take(63);
  arena.Take(64 * 4 - 1).reset();
  const Piece large = arena.Take(64 * 10 - 1);
  EXPECT_EQ(static_cast<char*>(large.get()) - static_cast<char*>(kept.get()), 64);
  EXPECT_EQ(arena.peak_bytes(), 64u * 11);
}

TEST(HostArenaTest, TakesTheSmallestThatFits) {
  HostArena arena;
  Piece large = arena.Take(64 * 8 - 1);
  const Piece between = arena.Take(1);
  Piece small = arena.Take(64 * 3 - 1);
  const Piece end = arena.Take(1);
  void* const expected = small.get();
  large.reset();
  small.reset();
  EXPECT_EQ(arena.Take(64 * 2 - 1).get(), expected);
}

TEST(HostArenaTest, PiecesOutliveIt) {
  Piece piece;
  {
    HostArena arena;
    piece = arena.Take(100000);
  }
  std::memset(piece.get(), 1, 100000);
}

// On several threads at random; each piece keeps what was written to it.
TEST(HostArenaTest, GivesEachItsOwn) {
  HostArena arena;
  const auto work = [&arena](unsigned seed) {
    std::mt19937 random(seed);
    std::map<int, std::pair<Piece, size_t>> pieces;
    for (int i = 0; i < 3000; ++i) {
      const int id = static_cast<int>(random() % 20);
      const auto found = pieces.find(id);
      const auto mark = static_cast<unsigned char>(seed * 20 + id);
      if (found == pieces.end()) {
        const size_t bytes = random() % 5000;
        const Piece piece = arena.Take(bytes);
        std::memset(piece.get(), mark, bytes);
        pieces[id] = {piece, bytes};
      } else {
        const auto& [piece, bytes] = found->second;
        const auto* data = static_cast<unsigned char*>(piece.get());
        for (size_t j = 0; j < bytes; ++j) ASSERT_EQ(data[j], mark);
        pieces.erase(found);
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) threads.emplace_back(work, seed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(arena.peak_bytes(), size_t{4} * 20 * 5064);
  arena.Take(arena.peak_bytes() - 64);
  EXPECT_LE(arena.peak_bytes(), size_t{4} * 20 * 5064) << "all is one piece again";
}

}  // namespace caffe
