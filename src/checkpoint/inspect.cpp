#include <bnq/checkpoint.h>
#include <bnq/quantize.h>

#include "checkpoint/contents.h"
#include "checkpoint/findings.h"
#include "checkpoint/work.h"

#include <algorithm>
#include <utility>

namespace bnq {
namespace {

using detail::FileForm;
using detail::Findings;
using safetensors::Entry;

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
  tensor.already_ternary = tensor.shape.size() > 1 && found.is_ternary();
}

InspectedTensor inspect_plain(const detail::Source& source, const Entry& entry) {
  InspectedTensor tensor{.name = entry.name, .dtype = entry.dtype, .shape = entry.shape, .nbytes = entry.nbytes};
  if (is_quantizable(entry.dtype)) fill_in(tensor, detail::look_at(source.view(entry)), element_count(entry.shape));
  return tensor;
}

InspectedTensor inspect_quantized(const detail::Source& source, const FileForm& form) {
  InspectedTensor tensor{.name = form.name, .dtype = form.dtype, .shape = form.shape};
  tensor.scheme = form.scheme;
  tensor.layout = form.layout;
  for (const Entry& part : form.parts()) tensor.nbytes += part.nbytes;
  const Tensor values = dequantize(detail::read_quantized(source, form), DType::f32);
  fill_in(tensor, detail::look_at(values.view()), values.elements());
  return tensor;
}

}  // namespace

Inspection inspect_checkpoint(const std::filesystem::path& path, const Progress& progress, ScaleConvention convention,
                              const std::vector<std::string>& gguf_types) {
  const detail::Source source(path, gguf_types);
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
  for (const auto& [name, entry] : contents.plain) add(inspect_plain(source, entry));
  std::ranges::sort(inspection.tensors, {}, &InspectedTensor::name);
  return inspection;
}

}  // namespace bnq
