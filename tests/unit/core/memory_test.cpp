// Memory for weights: zeroed, aligned, nobody else's, whichever way it is had.

#include "core/memory/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <thread>
#include <vector>

namespace bnq::test {
namespace {

constexpr std::size_t kib = 1024;

struct Piece {
  std::shared_ptr<std::byte> memory;
  std::size_t bytes;
  std::byte fill;

  [[nodiscard]] bool holds(std::byte value) const {
    return std::ranges::all_of(std::span(memory.get(), bytes), [&](std::byte b) { return b == value; });
  }
};

Piece piece_of(std::size_t bytes, std::size_t number) {
  Piece piece{detail::zeroed_memory(bytes), bytes, static_cast<std::byte>(number % 255 + 1)};
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece.memory.get()) % 64, 0U);
  EXPECT_TRUE(piece.holds(std::byte{0}));
  std::memset(piece.memory.get(), static_cast<int>(piece.fill), bytes);
  return piece;
}

/// Small, cut from a larger mapping, and mapped alone; more than one mapping of pieces.
constexpr std::size_t sizes[] = {1, 200 * kib, 256 * kib, 300 * kib + 1, 5000 * kib, 16'384 * kib, 16'385 * kib};

TEST(Memory, IsZeroedAndNobodyElses) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < 30; ++i) {
    pieces.push_back(piece_of(sizes[i % std::size(sizes)], i));
    if (i % 3 == 2)
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i / 3));  // what ends takes no other along
  }
  for (const Piece& piece : pieces) EXPECT_TRUE(piece.holds(piece.fill));
}

TEST(Memory, IsCutOnManyThreads) {
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (std::size_t i = 0; i < 20; ++i) {
        const Piece one = piece_of(400 * kib, 4 * i + t);
        const Piece two = piece_of(700 * kib, 4 * i + t + 1);
        EXPECT_TRUE(one.holds(one.fill));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace bnq::test
