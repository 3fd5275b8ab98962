#include <bnq/checkpoint.h>
#include <bnq/quantize.h>

#include "checkpoint/contents.h"
#include "checkpoint/verdict.h"
#include "checkpoint/work.h"
#include "core/fail.h"
#include "io/system_call.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace bnq {
namespace {

using detail::FileForm;
using detail::Source;
using safetensors::Entry;

/// Equal bits: a stored scale of -0 is not the scale that quantizing gives.
template <typename T>
bool same_bits(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

/// A gate that nothing can miss, or nothing meet, is a mistake: NaN compares false with all.
void require_gates(const Gates& gates) {
  const auto require = [](const char* gate, const std::optional<double>& least, bool valid, const char* need) {
    if (!least || valid) return;
    detail::fail(ErrorKind::invalid_argument,
                 {.where = gate, .what = "is no gate", .got = std::to_string(*least), .need = need});
  };
  const double sqnr_db = gates.min_sqnr_db.value_or(0);
  require("min_sqnr_db", gates.min_sqnr_db, sqnr_db > -std::numeric_limits<double>::infinity(), "a number of dB");
  require("min_cosine", gates.min_cosine, std::fabs(gates.min_cosine.value_or(0)) <= 1, "a number from -1 to 1");
}

bool misses(const Gates& gates, const Report& report) {
  return (gates.min_sqnr_db && report.sqnr_db < *gates.min_sqnr_db) ||
         (gates.min_cosine && report.cosine < *gates.min_cosine);
}

void require_floats(const Source& original) {
  const detail::Contents contents = detail::contents_of(original);
  detail::require_readable(original, contents);
  if (contents.quantized.empty()) return;
  detail::fail(ErrorKind::bad_content, {.where = detail::text_of(original.path()),
                                        .what = "is quantized, by " + detail::printable(contents.maker),
                                        .got = "'" + detail::printable(contents.quantized[0].name) + "' among them",
                                        .need = "the original first, then the quantized file",
                                        .cure = "swap the two"});
}

/// GGUF has names of its own, and some rows in another order: compared as they lie, every tensor would be missing.
void require_same_names(const Source& original, const Source& quantized) {
  const bool is_gguf = quantized.gguf() != nullptr;
  if (is_gguf == (original.gguf() != nullptr)) return;
  const Source& file = is_gguf ? quantized : original;
  detail::fail(ErrorKind::unsupported,
               {.where = detail::text_of(file.path()),
                .what = "a GGUF file has other names and row orders than the model it is compared with",
                .need = "both in GGUF, or none",
                .cure = "convert it first: `bnq convert FILE.gguf OUT.safetensors --to i8`"});
}

VerifiedTensor verify_quantized(const Source& original, const Entry& entry, const Source& quantized,
                                const FileForm& form, bool is_foreign) {
  VerifiedTensor tensor{.name = entry.name, .scheme = form.scheme, .bytes_before = entry.nbytes};
  for (const Entry& part : form.parts()) tensor.bytes_after += part.nbytes;
  if (entry.shape != form.shape || !is_quantizable(entry.dtype)) return tensor;  // nothing to compare
  if (entry.dtype != form.dtype && !is_foreign) return tensor;
  const QuantizedTensor stored = detail::read_quantized(quantized, form);
  try {
    tensor.report = report(original.view(entry), stored);
    if (form.scheme.is_given()) return tensor;
    const QuantizedTensor again = quantize(original.view(entry), form.scheme);
    tensor.reproduced = same_bits(stored.codes(), again.codes()) && same_bits(stored.scales(), again.scales());
    tensor.report->floored_granules = again.counts().floored_granules;
    tensor.report->prequantized_granules = again.counts().prequantized_granules;
  } catch (const Error& error) {
    throw Error(error.kind(), detail::in_file(original.file_of(entry.name), entry.name) + ": " + error.what());
  }
  return tensor;
}

VerifiedTensor verify_copy(const Source& original, const Entry& entry, const Source& quantized, const Entry& copy) {
  VerifiedTensor tensor{.name = entry.name, .bytes_before = entry.nbytes, .bytes_after = copy.nbytes};
  tensor.reproduced =
      entry.dtype == copy.dtype && entry.shape == copy.shape && same_bits(original.bytes(entry), quantized.bytes(copy));
  return tensor;
}

}  // namespace

Verification verify_checkpoint(const std::filesystem::path& original_path, const std::filesystem::path& quantized_path,
                               const Gates& gates, const Progress& progress, ScaleConvention convention) {
  require_gates(gates);
  const Source original(original_path);
  const Source quantized(quantized_path);
  require_same_names(original, quantized);
  require_floats(original);
  const detail::Contents contents = detail::contents_of(quantized, convention);
  detail::require_readable(quantized, contents);
  Verification v;
  v.file_bytes_before = original.file_bytes();
  v.file_bytes_after = quantized.file_bytes();
  v.written_by = contents.maker;
  v.is_foreign = contents.is_foreign;
  v.convention = convention;
  detail::ProgressCounter counter(progress, original.file_bytes(), detail::ProgressCounter::Writes::no);
  for (const Entry& entry : original.tensors()) {
    const FileForm* const form = contents.find_quantized(entry.name);
    const auto copy = contents.plain.find(entry.name);
    if (form != nullptr) {
      v.tensors.push_back(verify_quantized(original, entry, quantized, *form, contents.is_foreign));
      const auto& report = v.tensors.back().report;
      v.tensors.back().gate_missed = report && misses(gates, *report);
    } else if (copy != contents.plain.end()) {
      v.tensors.push_back(verify_copy(original, entry, quantized, copy->second));
    } else {
      v.missing.push_back(entry.name);
    }
    original.release(entry);
    counter.add(entry.nbytes);
  }
  for (const FileForm& form : contents.quantized) {
    if (original.find(form.name) == nullptr) v.extra.push_back(form.name);
  }
  for (const auto& [name, entry] : contents.plain) {
    if (original.find(name) == nullptr) v.extra.push_back(name);
  }
  detail::summarize(v, gates);
  return v;
}

}  // namespace bnq
