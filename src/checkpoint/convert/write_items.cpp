#include "checkpoint/convert/write_items.h"

#include "checkpoint/work.h"
#include "core/threads/background.h"

#include <atomic>
#include <chrono>
#include <cstdint>

namespace bnq::detail {
namespace {

/// Copies items without a scheme, one after the other, beside the caller.
class Copies {
 public:
  Copies(const Conversion& conversion, ItemWriter& out) {
    thread_.run([this, &conversion, &out] {
      for (const Item& item : conversion.items) {
        if (stop_) return;
        if (item.scheme) continue;
        out.copy(item);
        conversion.release(item);
        bytes_ += item.nbytes;
      }
    });
  }
  ~Copies() { stop_ = true; }
  Copies(const Copies&) = delete;
  Copies& operator=(const Copies&) = delete;

  /// Of the source, since the last call.
  std::uint64_t take_bytes() { return bytes_.exchange(0); }

  /// False when there is more to do. Passes on what a copy threw.
  bool ended_within(std::chrono::milliseconds time) { return thread_.ended_within(time); }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> bytes_ = 0;
  Background thread_;  // the last member: it ends before the others do
};

}  // namespace

void write_items(Conversion& conversion, ItemWriter& out) {
  constexpr std::chrono::milliseconds between_reports{100};
  ProgressCounter counter(conversion.options().progress, conversion.source().file_bytes(),
                          ProgressCounter::Writes::yes);
  Copies copies(conversion, out);
  Background disk;
  for (const Item& item : conversion.items) {
    if (!item.scheme) continue;
    disk.run([&out, &item, packed = conversion.pack(item)] { out.write(item, packed); });
    conversion.release(item);
    counter.add(item.nbytes + copies.take_bytes());
  }
  while (!copies.ended_within(between_reports)) counter.add(copies.take_bytes());
  disk.wait();
  counter.add(copies.take_bytes());
}

}  // namespace bnq::detail
