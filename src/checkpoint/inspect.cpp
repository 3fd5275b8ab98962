#include <bnq/checkpoint.h>
#include <bnq/quantize.h>

#include "checkpoint/contents.h"
#include "checkpoint/work.h"
#include "core/checked.h"
#include "core/elements.h"
#include "core/parallel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

namespace bnq {
namespace {

using detail::FileForm;
using safetensors::Entry;
using safetensors::Reader;

constexpr std::int64_t block_elems = 4096;
constexpr std::int64_t blocks_a_thread = 16;
constexpr float infinity = std::numeric_limits<float>::infinity();

/// What one pass over numbers finds; the order of the parts does not matter.
struct Findings {
  float minimum = infinity;
  float maximum = -infinity;
  float smallest_nonzero = infinity;  ///< by magnitude
  std::int64_t zeros = 0;
  std::int64_t nans = 0;
  std::int64_t infs = 0;

  void see(float value) {
    if (std::isnan(value)) {
      ++nans;
    } else if (std::isinf(value)) {
      ++infs;
    } else {
      minimum = std::min(minimum, value);
      maximum = std::max(maximum, value);
      if (value == 0) ++zeros;
      if (value != 0) smallest_nonzero = std::min(smallest_nonzero, std::fabs(value));
    }
  }

  void add(const Findings& other) {
    minimum = std::min(minimum, other.minimum);
    maximum = std::max(maximum, other.maximum);
    smallest_nonzero = std::min(smallest_nonzero, other.smallest_nonzero);
    zeros += other.zeros;
    nans += other.nans;
    infs += other.infs;
  }
};

Findings look_at(const TensorView& view) {
  Findings total;
  std::mutex mutex;
  const std::int64_t blocks = detail::ceil_div(view.elements(), block_elems);
  detail::parallel_for(blocks, blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
    std::array<float, block_elems> buffer;
    Findings here;
    for (std::int64_t b = first; b < last; ++b) {
      const std::int64_t begin = b * block_elems;
      const auto count = static_cast<std::size_t>(std::min(block_elems, view.elements() - begin));
      const std::span<float> block(buffer.data(), count);
      detail::read_elements(view, begin, block);
      for (const float value : block) here.see(value);
    }
    const std::lock_guard lock(mutex);
    total.add(here);
  });
  return total;
}

void fill_in(InspectedTensor& tensor, const Findings& found, std::int64_t elements) {
  tensor.nan_count = found.nans;
  tensor.inf_count = found.infs;
  if (found.minimum <= found.maximum) {
    tensor.minimum = static_cast<double>(found.minimum);
    tensor.maximum = static_cast<double>(found.maximum);
  }
  if (elements == 0) return;
  tensor.zero_share = static_cast<double>(found.zeros) / static_cast<double>(elements);
  tensor.all_zero = found.zeros == elements;
  const float absmax = std::max(std::fabs(found.minimum), std::fabs(found.maximum));
  tensor.already_ternary = tensor.shape.size() > 1 && found.nans + found.infs == 0 && found.smallest_nonzero == absmax;
}

InspectedTensor inspect_plain(const Reader& reader, const Entry& entry) {
  InspectedTensor tensor{.name = entry.name, .dtype = entry.dtype, .shape = entry.shape, .nbytes = entry.nbytes};
  if (is_quantizable(entry.dtype)) fill_in(tensor, look_at(reader.view(entry)), element_count(entry.shape));
  return tensor;
}

InspectedTensor inspect_quantized(const detail::Source& source, const FileForm& form) {
  InspectedTensor tensor{.name = form.name, .dtype = form.dtype, .shape = form.shape};
  tensor.scheme = form.scheme;
  tensor.layout = form.layout;
  for (const Entry& part : form.parts()) tensor.nbytes += part.nbytes;
  const Tensor values = dequantize(detail::read_quantized(source, form), DType::f32);
  fill_in(tensor, look_at(values.view()), values.elements());
  return tensor;
}

}  // namespace

Inspection inspect_checkpoint(const std::filesystem::path& path, const Progress& progress, ScaleConvention convention) {
  const detail::Source source(path);
  const detail::Contents contents = detail::contents_of(source, convention);
  Inspection inspection{.file_bytes = source.file_bytes(), .written_by = contents.maker, .unread = contents.unread};
  detail::ProgressCounter counter(progress, source.file_bytes(), detail::ProgressCounter::Writes::no);
  const auto add = [&](InspectedTensor tensor) {
    counter.add(tensor.nbytes);
    inspection.tensors.push_back(std::move(tensor));
  };
  for (const FileForm& form : contents.quantized) {
    add(inspect_quantized(source, form));
  }
  for (const auto& [name, entry] : contents.plain) add(inspect_plain(source.shard_of(name), entry));
  std::ranges::sort(inspection.tensors, {}, &InspectedTensor::name);
  return inspection;
}

}  // namespace bnq
