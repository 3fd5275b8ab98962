// A program of its own: it replaces operator new for all of it.

#include <bnq/linear.h>
#include <bnq/quantize.h>
#include <bnq/threads.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

namespace {
std::atomic<int> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* const memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

// Not inlined: g++ would see free() end what operator new began, and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) { return counted(bytes, 16); }
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}

namespace bnq::test {
namespace {

TEST(Allocation, ForwardAllocatesNothing) {
  constexpr std::int64_t outputs = 512;
  constexpr std::int64_t depth = 4100;
  const std::vector<float> values(outputs * depth, 0.5F);
  for (const char* scheme : {"ternary", "8", "int4-absmax:group(64)"}) {
    // Packed, so that kernels that read a layout in place are met too.
    const Linear linear(pack(quantize({values.data(), DType::f32, {outputs, depth}}, Scheme::parse(scheme))));
    for (const std::int64_t tokens : {1, 7, 60}) {
      const TensorView x(values.data(), DType::f32, {tokens, depth});
      std::vector<float> y(static_cast<std::size_t>(tokens * outputs));
      const MutableTensorView out(y.data(), DType::f32, {tokens, outputs});
      for (const int threads : {1, 2, 3, 7}) {
        set_num_threads(threads);
        std::vector<std::byte> scratch(linear.scratch_bytes(tokens));
        linear.forward(x, out, scratch);  // threads are started now
        const int before = allocations;
        linear.forward(x, out, scratch);
        EXPECT_EQ(allocations, before) << scheme << ", " << tokens << " tokens, " << threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace bnq::test
