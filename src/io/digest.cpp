#include "io/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <new>

namespace bnq::detail {
namespace {

std::string hex_of(XXH128_hash_t hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes.digest) {
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

}  // namespace

struct Digest::State {
  XXH3_state_t* xxh;
};

Digest::Digest() : state_(std::make_unique<State>(State{XXH3_createState()})) {
  if (state_->xxh == nullptr) throw std::bad_alloc();
  (void)XXH3_128bits_reset(state_->xxh);
}

Digest::~Digest() { (void)XXH3_freeState(state_->xxh); }

void Digest::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) (void)XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

void Digest::add(const std::string& text) {
  add(std::as_bytes(std::span(text)));
  add(std::as_bytes(std::span("", 1)));  // so that "a", "bc" is not "ab", "c"
}

std::string Digest::hex() const { return hex_of(XXH3_128bits_digest(state_->xxh)); }

std::string digest_of(std::span<const std::byte> bytes) { return hex_of(XXH3_128bits(bytes.data(), bytes.size())); }

std::string digest_of(const safetensors::Reader& reader) {
  Digest digest;
  digest.add(reader.head());
  for (const safetensors::Entry& entry : reader.tensors()) {
    digest.add(digest_of(reader.bytes(entry)));
    reader.release(entry);
  }
  return digest.hex();
}

}  // namespace bnq::detail
