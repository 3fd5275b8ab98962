#pragma once

#include <bnq/safetensors.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace bnq::detail {

inline constexpr std::size_t digest_digits = 32;

/// XXH3, 128 bits: tells a whole file from a damaged one. No protection against who wants to deceive.
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void add(std::span<const std::byte> bytes);
  void add(const std::string& text);

  [[nodiscard]] std::string hex() const;  ///< digest_digits of them

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] std::string digest_of(std::span<const std::byte> bytes);

/// Of a safetensors file: over its head and the digests of its tensors, in the order of their bytes; what
/// `safetensors::Writer::digest` says of the file that it wrote. Gives back the pages that it reads.
[[nodiscard]] std::string digest_of(const safetensors::Reader& reader);

}  // namespace bnq::detail
