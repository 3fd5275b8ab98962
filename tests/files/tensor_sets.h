#pragma once

#include "support/files.h"
#include "support/random.h"
#include "support/tensors.h"

#include <bnq/safetensors.h>
#include <bnq/tensor.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bnq::test {

using TensorMap = std::map<std::string, Tensor>;

inline std::vector<safetensors::Entry> entries_of(const TensorMap& tensors) {
  std::vector<safetensors::Entry> entries;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back({.name = name, .dtype = tensor.dtype(), .shape = tensor.shape(), .offset = 0, .nbytes = 0});
  }
  return entries;
}

/// One safetensors file of these plain tensors.
inline void write_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                          const safetensors::Metadata& metadata = {{"format", "pt"}}) {
  safetensors::Writer writer(path, entries_of(tensors), metadata, safetensors::Writer::Replace::yes);
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor.bytes());
  writer.finish();
}

/// The stored bytes of one tensor of a file.
inline std::string stored_bytes(const std::filesystem::path& path, const std::string& name) {
  const safetensors::Reader reader(path);
  const safetensors::Entry* const entry = reader.find(name);
  if (entry == nullptr) return "no tensor '" + name + "'";
  const auto bytes = reader.bytes(*entry);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Changes bytes of one stored tensor in place; the header stays as it is.
inline void patch_tensor(const std::filesystem::path& path, const std::string& name, std::size_t at,
                         std::string_view bytes) {
  std::string file = read_file(path);
  const safetensors::Reader reader(path);
  const safetensors::Entry& last = reader.tensors().back();
  const std::size_t data = file.size() - static_cast<std::size_t>(last.offset + last.nbytes);
  file.replace(data + static_cast<std::size_t>(reader.find(name)->offset) + at, bytes.size(), bytes);
  std::filesystem::remove(path);  // a new file: the old one is mapped
  write_file(path, file);
}

/// Ordinary weights: gaussian, of a deviation as trained models have it.
inline Tensor gaussian(Random& random, DType dtype, const Shape& shape, double deviation = 0.05) {
  std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
  for (float& value : values) value = static_cast<float>(deviation * random.gaussian());
  return make_tensor(dtype, shape, values);
}

/// Weights that are ternary already: -a, 0 and a.
inline Tensor ternary(Random& random, DType dtype, const Shape& shape, float a = 0.125F) {
  std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
  for (float& value : values) value = a * static_cast<float>(random.integer(-1, 1));
  return make_tensor(dtype, shape, values);
}

/// Any bytes, in a tensor of any dtype.
inline Tensor noise(Random& random, DType dtype, const Shape& shape) {
  Tensor tensor(dtype, shape);
  for (std::byte& byte : tensor.bytes()) byte = static_cast<std::byte>(random.integer(0, 255));
  return tensor;
}

/// A checkpoint in small: two layers of linear weights, embedding tables, a head, and all that is copied.
inline TensorMap small_model(std::uint64_t stream) {
  Random random(stream);
  TensorMap model;
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    model.emplace(layer + "q.weight", gaussian(random, DType::bf16, {8, 12}));
    model.emplace(layer + "q.bias", gaussian(random, DType::bf16, {8}));
    model.emplace(layer + "v.weight", gaussian(random, DType::f16, {6, 10}));
    model.emplace(layer + "norm.weight", gaussian(random, DType::f32, {12}));
  }
  model.emplace("embeddings.word.weight", gaussian(random, DType::f32, {16, 12}));
  model.emplace("embeddings.position_embeddings.weight", gaussian(random, DType::f32, {7, 12}));
  model.emplace("lm_head.weight", gaussian(random, DType::f32, {16, 12}));
  model.emplace("norm.weight", gaussian(random, DType::f32, {12}));
  model.emplace("temperature", gaussian(random, DType::f32, {}));
  model.emplace("unused", Tensor(DType::f16, {0, 4}));
  model.emplace("ids", noise(random, DType::i64, {1, 7}));
  model.emplace("precise.weight", noise(random, DType::f64, {2, 3}));
  return model;
}

}  // namespace bnq::test
